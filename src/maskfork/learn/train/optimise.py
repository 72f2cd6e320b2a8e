"""AdamW and Muon, and the learning rate's way up and down."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import nn

from maskfork.learn.train.muon import Muon, hidden_matrices

Schedule = Callable[[int, int, float], float]  # (step from 0, steps in all, warm-up's share) -> share of the learning rate


class Optimisers:
    """One or more optimisers that step together, each at its own learning rate times the schedule's share."""

    def __init__(self, *parts: torch.optim.Optimizer) -> None:
        self.parts = parts
        self._rates = [[group["lr"] for group in part.param_groups] for part in parts]

    def rate(self, share: float) -> None:
        """Set every group's learning rate to this share of its own."""
        for part, rates in zip(self.parts, self._rates, strict=True):
            for group, rate in zip(part.param_groups, rates, strict=True):
                group["lr"] = rate * share

    def step(self) -> None:
        """Step, and forget the gradients."""
        for part in self.parts:
            part.step()
            part.zero_grad(set_to_none=True)

    def state_dict(self) -> list[dict[str, Any]]:
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def muon(model: nn.Module, learning_rate: float, weight_decay: float, betas: tuple[float, float] = (0.9, 0.95)) -> Optimisers:
    """Muon for the matrices inside the blocks, AdamW for embeddings, heads, norms and biases."""
    matrices, rows = hidden_matrices(model)
    others = [(name, p) for name, p in model.named_parameters() if name not in matrices]
    return Optimisers(
        Muon(matrices.values(), learning_rate, weight_decay, rows=rows), adamw(others, learning_rate, weight_decay, betas)
    )


def adamw(
    parameters: Iterable[tuple[str, nn.Parameter]],
    learning_rate: float,
    weight_decay: float,
    betas: tuple[float, float] = (0.9, 0.999),
    *,
    quick: Collection[nn.Parameter] = (),
    quick_rate: float = 0.0,
) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), fused; biases and norms are not decayed, `quick` ones take `quick_rate`."""
    apart = {id(p) for p in quick}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for _, p in parameters:
        if p.requires_grad:
            rate = quick_rate if id(p) in apart else learning_rate
            groups.setdefault((rate, weight_decay if p.dim() > 1 else 0.0), []).append(p)
    made = [{"params": found, "lr": rate, "weight_decay": decay} for (rate, decay), found in groups.items()]
    return torch.optim.AdamW(made, lr=learning_rate, betas=betas, eps=1e-8, fused=True)


def linear(step: int, steps: int, warmup: float) -> float:
    """Share of the learning rate at a step (from 0): up over the first `warmup` of all steps, then down to zero.

    `transformers` starts at 0, so that its first step teaches nothing; ours is one step ahead of it on the way up and the
    same on the way down.
    """
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return max(0.0, (steps - step) / max(1, steps - rising))


def cosine(step: int, steps: int, warmup: float, floor: float = 0.1) -> float:
    """The same with a cosine down to `floor`, as language models are pre-trained."""
    rising = round(warmup * steps)
    if step < rising:
        return (step + 1) / rising
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1, steps - rising))))


def wsd(step: int, steps: int, warmup: float, decay: float = 0.2) -> float:
    """Warm-up, stable, decay (Hu et al. 2024, MiniCPM): the last `decay` of all steps go down to zero as 1 - sqrt.

    The shape of the way down is Haegele et al. 2024's. A run can be prolonged from any checkpoint before it.
    """
    rising, falling = round(warmup * steps), round(decay * steps)
    if step < rising:
        return (step + 1) / rising
    if step < steps - falling:
        return 1.0
    return max(0.0, 1.0 - math.sqrt((step - (steps - falling)) / max(1, falling)))


SCHEDULES: dict[str, Schedule] = {"linear": linear, "cosine": cosine, "wsd": wsd}
