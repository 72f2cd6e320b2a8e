"""bf16 is taken where loss and gradient agree with float32's, refused by a planted disagreement, and it is said."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from maskfork.learn.train import precision


class Two(nn.Module):
    """Two numbers, equal at the start."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.ones(2))


def in_bf16() -> bool:
    return torch.is_autocast_enabled("cpu")


@pytest.fixture
def bf16_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)


def small() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 3)), torch.randn(64, 16)


@pytest.mark.usefixtures("bf16_machine")
def test_taken_where_it_agrees() -> None:
    model, x = small()
    seen = []

    def loss() -> Tensor:
        out = model(x)
        seen.append(out.dtype)
        return nn.functional.cross_entropy(out.float(), torch.arange(64) % 3)

    taken, why = precision.choose("auto", model, loss)
    assert taken
    assert why.startswith("bf16: the first batch's loss is 0.")
    assert "cosine of the gradients" in why
    assert seen == [torch.float32, torch.bfloat16]
    assert all(p.grad is None for p in model.parameters())  # nothing is left for the first step


@pytest.mark.usefixtures("bf16_machine")
def test_refused_where_the_loss_disagrees() -> None:
    model = Two()
    taken, why = precision.choose("auto", model, lambda: model.w.sum() * (1.1 if in_bf16() else 1.0))
    assert not taken
    assert why.startswith("float32: in bf16 the first batch's loss is 10.00% from float32's")
    assert precision.choose("bf16", model, lambda: model.w.sum() * (1.1 if in_bf16() else 1.0))[1].startswith("bf16, as asked")


@pytest.mark.usefixtures("bf16_machine")
def test_refused_where_only_the_gradient_disagrees() -> None:
    model = Two()
    taken, why = precision.choose("auto", model, lambda: model.w[0 if in_bf16() else 1] * 1.0)
    assert not taken
    assert "0.00% from float32's" in why
    assert "gradients 0.0000" in why


@pytest.mark.usefixtures("bf16_machine")
def test_refused_where_a_number_is_lost() -> None:
    model = Two()
    assert not precision.choose("auto", model, lambda: model.w.sum() * (float("nan") if in_bf16() else 1.0))[0]


def test_asked_or_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> Tensor:
        raise AssertionError("nothing is to be computed")

    assert precision.choose("fp32", Two(), never) == (False, "float32, as asked")
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    taken, why = precision.choose("auto", Two(), never)
    assert not taken
    assert "no bf16 arithmetic" in why


def test_other_devices_have_none() -> None:
    assert not precision.has_bf16(torch.device("meta"))
