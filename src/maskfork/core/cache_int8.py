"""A cache in eight bits: a scale for every token and head, 127 levels to each side. A quarter of the memory and a little error.

What is written for a token is rounded once; what a pass reads of its own new tokens is rounded too, so that a text does not
depend on how it was cut into passes.

Legend: B batch, S new tokens, K stored tokens, H heads, D head size.
"""

from __future__ import annotations

from torch import Tensor

from maskfork.core.cache import Cache

LEVELS = 127
SMALLEST = 1e-12  # of a scale, where all numbers are zero


class Int8Cache(Cache):
    """Keys and values as int8 [B, room, H, D] beside their scales [B, room, H, 1] in the model's type."""

    def __init__(self, room: int = 0) -> None:
        super().__init__(room)
        self._stores = ({}, {}, {}, {})  # keys, values, their scales

    def extend(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> tuple[Tensor, Tensor]:
        keys, values, key_scales, value_scales = self._stores
        k, v = (
            self._put(codes, layer, rounded) * self._put(scales, layer, scale)
            for codes, scales, (rounded, scale) in (
                (keys, key_scales, _rounded(k_BSHD)),
                (values, value_scales, _rounded(v_BSHD)),
            )
        )
        return k, v

    def _empty(self) -> Cache:
        return Int8Cache(self.room)


def _rounded(x_BSHD: Tensor) -> tuple[Tensor, Tensor]:
    """int8 [B, S, H, D] and the scales [B, S, H, 1] that make numbers of them."""
    scale = x_BSHD.abs().amax(-1, keepdim=True).clamp_min(SMALLEST) / LEVELS
    return (x_BSHD / scale).round().clamp(-LEVELS, LEVELS).char(), scale
