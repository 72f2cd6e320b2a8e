"""AdamW and the learning rate's way up and down."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn


def adamw(parameters: Iterable[tuple[str, nn.Parameter]], learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019), fused; biases and norms are not decayed."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for _, p in parameters:
        if p.requires_grad:
            (decayed if p.dim() > 1 else free).append(p)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)


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
