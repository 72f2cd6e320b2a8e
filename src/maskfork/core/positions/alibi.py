"""ALiBi: a penalty that grows with the distance, one slope a head (Press et al. 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.batch import Places
from maskfork.core.positions.hooks import Layer, Memo, Positions
from maskfork.core.spec import PositionSpec, StackSpec


@dataclass(frozen=True)
class Alibi(PositionSpec):
    """Slopes follow from the number of heads alone."""

    def build(self, stack: StackSpec) -> AlibiPositions:
        return AlibiPositions(stack.attention.num_heads)


def slopes(heads: int) -> list[float]:
    """A geometric series from 2^(-8/n); where `heads` is no power of two, every other slope of the next one fills up."""
    whole = 2 ** math.floor(math.log2(heads))
    series = [2 ** (-8 * (i + 1) / whole) for i in range(whole)]
    between = [2 ** (-8 * (i + 1) / (2 * whole)) for i in range(0, 2 * whole, 2)]
    return series + between[: heads - whole]


class AlibiPositions(Positions):
    """Nothing is learned."""

    has_logits = True

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.register_buffer("slopes", torch.tensor(slopes(heads)), persistent=False)

    def logits(self, q_BQHD: Tensor, k_BKHD: Tensor, at: Places, layer: Layer, memo: Memo) -> Tensor:
        distance = (at.queries[:, None, :, None] - at.keys[:, None, None, :]).abs()
        slope: Tensor = self.get_buffer("slopes")
        return -slope.view(1, -1, 1, 1).to(q_BQHD.dtype) * distance
