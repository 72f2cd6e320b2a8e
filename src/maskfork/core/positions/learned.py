"""Learned absolute positions (BERT, GPT-2), with BART's offset."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from maskfork.core.positions.hooks import Positions
from maskfork.core.spec import PositionSpec, StackSpec
from maskfork.core.table import Table


@dataclass(frozen=True)
class Learned(PositionSpec):
    """A vector for each place up to `size`; place p reads row p + `offset`."""

    size: int
    offset: int = 0

    def build(self, stack: StackSpec) -> LearnedPositions:
        return LearnedPositions(self, stack.embed.size or stack.hidden_size)


class LearnedPositions(Positions):
    """`weight` [size + offset, E]."""

    def __init__(self, spec: Learned, width: int) -> None:
        super().__init__()
        self.offset = spec.offset
        self.limit = spec.size
        self.table = Table(spec.size + spec.offset, width)

    def embed(self, x_BSE: Tensor, pos_BS: Tensor) -> Tensor:
        return x_BSE + self.table(pos_BS + self.offset)  # type: ignore[no-any-return]
