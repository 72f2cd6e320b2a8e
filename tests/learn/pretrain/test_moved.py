"""Every objective's sample goes to another device whole: no tensor stays behind, in masks and mixtures neither."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.learn.objectives.names import OBJECTIVES, by_name
from maskfork.learn.pretrain.evaluate import answers, moved
from tests.learn.objectives.test_names import WORDS


def tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple):
        return [t for part in value for t in tensors(part)]
    if is_dataclass(value) and not isinstance(value, type):
        return [t for f in fields(value) for t in tensors(getattr(value, f.name))]
    return []


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "distill"])
def test_nothing_stays_behind(name: str) -> None:
    batch = Batch.packed([[2, 30, 31, 32, 20, 33, 34, 20, 35, 36, 3]] * 6)
    sample = by_name(name, WORDS)(batch, np.random.default_rng(0))
    away = moved(sample, torch.device("meta"))
    assert len(tensors(away)) == len(tensors(sample)) > 1
    assert {t.device.type for t in tensors(away)} == {"meta"}
    assert answers(sample) > 0
