"""The learning rate's way up and down against transformers', and what is decayed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from transformers import get_cosine_with_min_lr_schedule_with_warmup, get_linear_schedule_with_warmup

from maskfork.learn.train.optimise import adamw, cosine, linear
from tests.learn.tiny import make


def theirs(make_schedule: object, warm: int, steps: int, **more: float) -> list[float]:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = make_schedule(optimiser, warm, steps, **more)  # type: ignore[operator]
    found = []
    for _ in range(steps):
        found.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return found


@pytest.mark.parametrize(("steps", "warmup"), [(150, 0.1), (40, 0.1), (100, 0.06), (7, 0.5), (3, 0.1), (20, 0.0), (1, 0.1)])
def test_linear_is_theirs_one_step_ahead_on_the_way_up(steps: int, warmup: float) -> None:
    """Their first step has learning rate 0 and teaches nothing. Ours rises by the same slope from the step after it, is at
    the top one step earlier, stays there for two, and is theirs from then on; without a warm-up all steps are equal."""
    warm = round(warmup * steps)
    ours, other = [linear(i, steps, warmup) for i in range(steps)], theirs(get_linear_schedule_with_warmup, warm, steps)
    if warm:
        assert other[0] == 0.0
        assert ours[0] == pytest.approx(1 / warm)
        assert ours[:warm] == pytest.approx([*other[1:warm], 1.0])
    assert ours[warm:] == pytest.approx(other[warm:])
    assert max(ours) == 1.0
    assert ours[-1] > 0.0  # the last step still learns
    assert linear(steps, steps, warmup) == 0.0


def test_cosine_is_theirs_after_the_warm_up() -> None:
    other = theirs(get_cosine_with_min_lr_schedule_with_warmup, 4, 100, min_lr_rate=0.1)
    ours = [cosine(i, 100, 0.04) for i in range(100)]
    assert ours[:4] == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert ours[4:] == pytest.approx(other[4:])
    assert cosine(100, 100, 0.04) == pytest.approx(0.1)
    assert cosine(500, 100, 0.04) == pytest.approx(0.1)
    assert math.isclose(cosine(0, 10, 0.0), 1.0)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5"])
def test_biases_and_norms_are_not_decayed(family: str) -> None:
    model = make(family, "classify")
    first = next(model.parameters())
    first.requires_grad_(False)
    optimiser = adamw(model.named_parameters(), 1e-3, 0.01)
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, free = ({names[id(p)] for p in g["params"]} for g in optimiser.param_groups)
    assert [g["weight_decay"] for g in optimiser.param_groups] == [0.01, 0.0]
    assert decayed | free == set(names.values()) - {names[id(first)]}
    assert free == {n for n in names.values() if n.endswith(".bias") or "norm" in n.rsplit(".", 2)[-2]}
