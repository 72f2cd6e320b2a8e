"""SmoothQuant (Xiao et al. 2023, section 4): what makes activations hard to hold in int8 moves into the weights.

    x W'  =  (x / s) (s W)'        s of an input: root of its largest activation over its largest weight

A few inputs of a Transformer's linear maps are many times larger than the rest, and one scale for all leaves the rest few
steps. Divided by s they are alike; weights have a scale an output and can bear it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.linear import Linear
from maskfork.models.runtimes.whole import Whole

STRENGTH = 0.5  # 0 leaves all to the activations, 1 moves all to the weights; the paper's own


@contextmanager
def smoothed(whole: Whole, batches: Sequence[Batch]) -> Iterator[int]:
    """Inside, the model's linear maps are smoothed by what these batches show: how many of them. It says the same."""
    modules = list(whole.model.body.modules())
    asked = any(getattr(m, "has_logits", False) for m in modules)  # a position scheme may multiply with a map's rows itself
    maps = [] if asked else [m for m in modules if isinstance(m, Linear)]
    seen = _largest(whole, maps, batches)
    kept = [m.weight.detach().clone() for m in maps]
    hooks = []
    try:
        with torch.no_grad():
            for linear in maps:
                steps = seen[linear].pow(STRENGTH) / linear.weight.abs().amax(0).clamp_min(1e-5).pow(1 - STRENGTH)
                steps = torch.where(seen[linear] > 0, steps.clamp_min(1e-5), 1.0)
                linear.weight.mul_(steps)
                hooks.append(linear.register_forward_pre_hook(partial(_divided, 1 / steps)))
        yield len(maps)
    finally:
        for hook in hooks:
            hook.remove()
        with torch.no_grad():
            for linear, weight in zip(maps, kept, strict=True):
                linear.weight.copy_(weight)


def _largest(whole: Whole, maps: Sequence[Linear], batches: Sequence[Batch]) -> dict[Linear, Tensor]:
    """The largest number of each input of each map, [I]."""
    found = {m: torch.zeros(m.in_features) for m in maps}

    def look(linear: nn.Module, given: tuple[Any, ...]) -> None:
        assert isinstance(linear, Linear)
        found[linear] = torch.maximum(found[linear], given[0].detach().abs().flatten(0, -2).amax(0))

    hooks = [m.register_forward_pre_hook(look) for m in maps]
    with torch.no_grad():
        for batch in batches if maps else ():
            whole(batch)
    for hook in hooks:
        hook.remove()
    return found


def _divided(inverse: Tensor, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    return (given[0] * inverse, *given[1:])
