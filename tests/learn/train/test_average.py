"""The average of the weights: its arithmetic, and that looking through it changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskfork.learn.train.average import Average


def test_arithmetic() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average, wanted = Average(model, 0.5), 0.0
    for n, value in enumerate([1.0, 3.0, -2.0, 5.0], 1):
        with torch.no_grad():
            model.weight.fill_(value)
        average.update(model)
        decay = min(0.5, (1 + n) / (10 + n))
        wanted = decay * wanted + (1 - decay) * value
    assert float(average.tensors["weight"]) == pytest.approx(wanted)


def test_inside_the_average_outside_the_weights() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    own = [p.detach().clone() for p in model.parameters()]
    average = Average(model, 0.9)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(1.0)
    seen = []

    def fails() -> None:
        with average.applied(model):
            seen.extend(p.detach().clone() for p in model.parameters())
            raise KeyError("evaluation failed")

    with pytest.raises(KeyError):
        fails()
    assert all(torch.equal(p, q) for p, q in zip(seen, own, strict=True))
    assert all(torch.equal(p, q + 1.0) for p, q in zip(model.parameters(), own, strict=True))
    assert all(torch.equal(p, q) for p, q in zip(average.tensors.values(), own, strict=True))
