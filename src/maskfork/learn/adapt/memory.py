"""What a model takes in training: its base, what trains, and what the optimiser keeps of that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from maskfork.models.model import Model
from maskfork.models.quantised import bytes_of
from maskfork.view.words import megabytes

ADAM = 2 * 4  # bytes of AdamW's two float32 means, for each number that trains


@dataclass(frozen=True)
class Memory:
    """Bytes, and the numbers that train. `base`: all that does not train."""

    parameters: int
    base: int
    trained: int

    @property
    def gradients(self) -> int:
        return self.trained

    @property
    def optimiser(self) -> int:
        return self.parameters * ADAM

    @property
    def all(self) -> int:
        return self.base + self.trained + self.gradients + self.optimiser

    def describe(self) -> str:
        """One line."""
        parts = {
            "base": self.base,
            "trained": self.trained,
            "gradients": self.gradients,
            "AdamW": self.optimiser,
            "in all": self.all,
        }
        return f"{self.parameters:,} numbers train; " + ", ".join(f"{k} {megabytes(v / 2**20)}" for k, v in parts.items())


def measure(model: Model, trained: Sequence[nn.Parameter]) -> Memory:
    """With these parameters in training."""
    own = sum(p.numel() * p.element_size() for p in trained)
    return Memory(sum(p.numel() for p in trained), bytes_of(model) - own, own)
