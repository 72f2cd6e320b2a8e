"""A key that is read several times over: log(count) on its logit is the same as counting it so often in the softmax.

BigBird gathers blocks of keys for a block of queries, some of them twice or more (see `core/mask_blocks.py`).

Legend: B batch, Q queries, K keys, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskfork.core.batch import Places
from maskfork.core.mask_blocks import Blocks, blocks_of, look_up
from maskfork.core.positions.hooks import Layer, Memo, Positions
from maskfork.core.spec import PositionSpec, StackSpec


@dataclass(frozen=True)
class Counted(PositionSpec):
    """What is counted follows from the `Blocks` in the rule of each layer."""

    def build(self, stack: StackSpec) -> CountedPositions:
        return CountedPositions(tuple(blocks_of(rule) for rule in stack.masks))


class CountedPositions(Positions):
    """Nothing is learned. Blocks that chance gives are there in training only, so the counts differ then."""

    has_logits = True

    def __init__(self, rules: tuple[Blocks | None, ...]) -> None:
        super().__init__()
        self.rules = rules

    def silent(self, longest: int) -> bool:
        return all(rule is None or rule.random == 0 or rule.is_full(longest) for rule in self.rules)

    def logits(self, q_BQHD: Tensor, k_BKHD: Tensor, at: Places, layer: Layer, memo: Memo) -> Tensor:
        rule = self.rules[layer.index]
        if rule is None or at.lengths is None:
            return q_BQHD.new_zeros(1, 1, 1, 1)
        rule = replace(rule, drawn=rule.seed if self.training and rule.random else None)
        key = ("counted", rule, id(at.queries), id(at.keys), q_BQHD.dtype)
        if key not in memo:
            lengths, which = torch.unique(at.lengths, return_inverse=True)
            heads = torch.arange(1 if rule.drawn is None else rule.heads, device=lengths.device).view(1, -1, 1, 1)
            times = look_up(
                rule.counts(lengths),
                rule.size,
                which[:, None, :, None],
                heads,
                at.queries[:, None, :, None],
                at.keys[:, None, None],
            )
            memo[key] = (times.clamp_min(1).to(q_BQHD.dtype).log(), at)  # the ids live as long as the tensors
        added: Tensor = memo[key][0]
        return added.expand(-1, q_BQHD.shape[2], -1, -1)
