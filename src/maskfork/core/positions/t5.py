"""T5's relative bias: a number a head for each bucket of distance, shared by all layers (Raffel et al. 2020, section 2.1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.batch import Places
from maskfork.core.positions.hooks import Layer, Memo, Positions
from maskfork.core.spec import PositionSpec, StackSpec
from maskfork.core.table import Table


@dataclass(frozen=True)
class T5Bias(PositionSpec):
    """`buckets` over distances up to `max_distance`, half of them exact, the rest in log steps.

    `both_ways`: an encoder tells left from right with half the buckets each.
    """

    buckets: int
    max_distance: int
    both_ways: bool

    def build(self, stack: StackSpec) -> T5Positions:
        return T5Positions(self, stack.attention.num_heads)


class T5Positions(Positions):
    """`table` [buckets, H]."""

    has_logits = True

    def __init__(self, spec: T5Bias, heads: int) -> None:
        super().__init__()
        self.spec = spec
        self.table = Table(spec.buckets, heads)

    def bucket(self, distance: Tensor) -> Tensor:
        """Key place minus query place -> bucket number, same shape."""
        buckets = self.spec.buckets
        start = torch.zeros_like(distance)
        if self.spec.both_ways:
            buckets //= 2
            start = (distance > 0).long() * buckets
            distance = distance.abs()
        else:
            distance = (-distance).clamp_min(0)
        exact = buckets // 2
        steps = torch.log(distance.float().clamp_min(1) / exact) / math.log(self.spec.max_distance / exact)
        far = (exact + (steps * (buckets - exact)).long()).clamp_max(buckets - 1)
        return start + torch.where(distance < exact, distance, far)

    def logits(self, q_BQHD: Tensor, k_BKHD: Tensor, at: Places, layer: Layer, memo: Memo) -> Tensor:
        key = (id(self), id(at.queries), id(at.keys))
        if key not in memo:
            buckets = self.bucket(at.keys[:, None, :] - at.queries[:, :, None])
            memo[key] = (
                self.table(buckets).permute(0, 3, 1, 2),
                at.queries,
                at.keys,
            )  # the ids live as long as the tensors
        bias: Tensor = memo[key][0]
        return bias
