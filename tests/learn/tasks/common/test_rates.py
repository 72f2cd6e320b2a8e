"""The head learns faster than the body, and only where all weights are trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models import families
from maskfork.models.hub import build
from maskfork.models.packing import packed

TINY = {**families.family_of({"model_type": "bert"}).tiny[0], "model_type": "bert"}


def moved(settings: TaskSettings) -> tuple[dict[str, float], list[str]]:
    """How far the first step took each part of a tiny BERT, and what was said."""
    model = build(TINY, "classify", labels=("a", "b"))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}

    def loss(module: nn.Module, rows: np.ndarray) -> Tensor:
        texts = [[1, 5 + int(row), 2] for row in rows]
        return nn.functional.cross_entropy(module(packed(texts, None)).logits, torch.from_numpy(rows % 2))

    record = fit_rows(model, [3] * 4, lambda rows: rows, loss, settings)
    parts: dict[str, float] = {}
    for name, p in model.named_parameters():
        if name in before:
            part = name.split(".")[0]
            parts[part] = max(parts.get(part, 0.0), float((p.detach() - before[name]).abs().max()))
    return parts, record.notes


def one_step(**given: Any) -> TaskSettings:
    return TaskSettings(
        epochs=0.1, batch_size=4, min_steps=1, warmup=0.0, weight_decay=0.0, validation_share=0.0, precision="fp32", **given
    )


def test_the_head_takes_ten_times_the_rate_of_the_body_and_it_is_said() -> None:
    found, notes = moved(one_step(learning_rate=5e-5))
    assert found == pytest.approx({"body": 5e-5, "head": 5e-4}, rel=0.05)
    assert "learning rate 5e-05, of the head 0.0005" in notes
    found, notes = moved(one_step())
    wide = 5e-5 * 768 / TINY["hidden_size"]  # more than a head's own
    assert found == pytest.approx({"body": wide, "head": wide}, rel=0.05)
    assert not any("of the head" in note for note in notes)


def test_beside_an_adapter_the_head_takes_the_adapters_rate() -> None:
    found, _ = moved(one_step(adapter="lora:rank=2", learning_rate=1e-3))
    assert found["head"] == pytest.approx(1e-3, rel=0.05)
