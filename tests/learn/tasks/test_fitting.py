"""A fine-tuning that was cut off goes on to the same bits, wherever it was cut, and keeps its best epoch."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.train import loop
from maskfork.learn.train.best import Kept
from maskfork.learn.train.run import Record
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.encode import encode
from maskfork.models.model import Model
from maskfork.models.packing import make_batch
from tests.learn.tiny import make, sentences

TEXTS, LABELS = sentences(24, 3)
SETTINGS = FineTuneSettings(epochs=4, min_steps=0, batch_size=8, learning_rate=3e-3, precision="fp32")


class CutOffError(Exception):
    """The machine stopped."""


def train(work: Path | None, cut_after: int | None = None) -> tuple[Model, Record]:
    model = make("bert", "classify", labels=("bad", "good"), seed=4)
    encoding, labels = encode(model, TEXTS), torch.from_numpy(LABELS)

    began = {name: p.detach().clone() for name, p in model.named_parameters()}

    def loss(module: nn.Module, rows: np.ndarray) -> Tensor:
        return nn.functional.cross_entropy(module(make_batch(encoding, rows)).logits, labels[rows])

    def score(module: nn.Module) -> tuple[float, float]:
        return -sum(float((p.detach() - began[name]).norm()) for name, p in module.named_parameters()), 0.0

    def count(share: float, words: str) -> None:
        if cut_after is not None and int(words.split("step ")[1].split("/", maxsplit=1)[0]) == cut_after:
            raise CutOffError

    record = fit_rows(
        model, encoding.lengths, lambda rows: rows, loss, SETTINGS, seed=1, evaluate=score, progress=count, work=work
    )
    return model, record


@pytest.mark.parametrize("at", [1, 3, 4, 7, 12])
def test_cut_off_and_gone_on(at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "Kept", partial(Kept, apart=0.0))  # a checkpoint after every step
    whole, told = train(None)
    with pytest.raises(CutOffError):
        train(tmp_path, cut_after=at)
    again, record = train(tmp_path)
    assert record.losses == told.losses
    assert record.scores == told.scores
    assert len(set(told.scores)) == 4
    assert record.best_epoch == told.best_epoch == int(np.argmax(told.scores)) == 0  # the nearest to the start
    assert f"went on from step {at} of a run that was cut off" in record.notes
    for (name, one), other in zip(whole.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name
