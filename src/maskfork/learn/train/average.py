"""A running average of the weights, which is often better than the last of them (Polyak & Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of the parameters that are trained: average = decay * average + (1 - decay) * weight.

    While the average is young its decay is smaller, (1 + n) / (10 + n), so that the first random weights are soon forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.updates = decay, 0
        self.tensors: dict[str, Tensor] = {n: p.detach().clone() for n, p in model.named_parameters() if p.requires_grad}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """After a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, p in model.named_parameters():
            if name in self.tensors:
                self.tensors[name].lerp_(p.detach(), 1 - decay)

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The model has the averaged weights inside, its own again outside."""
        own = dict(model.named_parameters())
        self._swap(own)
        try:
            yield
        finally:
            self._swap(own)

    @torch.no_grad()
    def _swap(self, own: dict[str, nn.Parameter]) -> None:
        for name, average in self.tensors.items():
            kept = own[name].detach().clone()
            own[name].copy_(average)
            average.copy_(kept)
