"""How far a rule lets a token look: so many tokens back and ahead, and some tokens that look, and are seen, beyond that.

    Causal() & Window(2, 0)   2 back                     Window(1, 1) | Marked()   1 back, 1 ahead, the marked ones
    Blocks(4)                 7 back, 7 ahead, the first and the last block of a text

Legend: B batch, S sequence.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.mask import And, Causal, Chunk, Marked, Mask, Or, Window
from maskfork.core.mask_blocks import Blocks


@dataclass(frozen=True, eq=False)
class Reach:
    """A query at place q reads no key outside [q - before, q + after], unless one of the two is among `beyond` bool [B, S].

    None: no limit on that side. It may promise too much, never too little: the rule itself decides.
    """

    before: int | None
    after: int | None
    beyond: Tensor | None = None

    @property
    def width(self) -> int | None:
        """How many keys a query reads at most, `beyond` left out; None for no limit."""
        return None if self.before is None or self.after is None else self.before + self.after + 1


def reach(rule: Mask, batch: Batch) -> Reach:
    """For the tokens of a batch."""
    if isinstance(rule, And | Or):
        return reduce(_both if isinstance(rule, And) else _either, (reach(part, batch) for part in rule.parts))
    match rule:
        case Window(before, after) if type(rule) is Window:
            return Reach(before, after)
        case Causal() if type(rule) is Causal:
            return Reach(None, 0)
        case Chunk(size):
            return Reach(size - 1, size - 1)
        case Marked():
            return Reach(0, 0, batch.marks)
        case Blocks(size) if rule.drawn is None:
            return Reach(2 * size - 1, 2 * size - 1, _ends(rule, batch))
    return Reach(None, None)


def _ends(rule: Blocks, batch: Batch) -> Tensor:
    """The first and the last block of each text, and all of a text that reads everything."""
    lengths, places = batch.token_lengths, batch.positions
    short = lengths <= (5 + 2 * rule.random) * rule.size
    ends = (places < rule.size) | (places // rule.size >= (lengths - 1) // rule.size)
    return torch.broadcast_to(ends | short, batch.shape)


def _both(a: Reach, b: Reach) -> Reach:
    def least(x: int | None, y: int | None) -> int | None:
        return y if x is None else x if y is None else min(x, y)

    return Reach(least(a.before, b.before), least(a.after, b.after), _or(a.beyond, b.beyond))


def _either(a: Reach, b: Reach) -> Reach:
    def most(x: int | None, y: int | None) -> int | None:
        return None if x is None or y is None else max(x, y)

    return Reach(most(a.before, b.before), most(a.after, b.after), _or(a.beyond, b.beyond))


def _or(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a | b
