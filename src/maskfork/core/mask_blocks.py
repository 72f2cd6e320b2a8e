"""BigBird's block-sparse rule (Zaheer et al. 2020, section 2): blocks of tokens read a window, the ends, and chance.

    Blocks(size=1), a sequence of 8 blocks       1st and last block read all and are read by all
      k 0 1 2 3 4 5 6 7                          the others read the block before, themselves and the block after,
    q 0 ✓ ✓ ✓ ✓ ✓ ✓ ✓ ✓                          and `random` blocks that are drawn anew for each head and layer
      1 ✓ ✓ ✓ ✗ ✗ ✗ ✗ ✓
      2 ✓ ✓ ✓ ✓ ✗ ✗ ✗ ✓                          in training; afterwards, as published, the 1st block stands in for
      3 ✓ ✗ ✓ ✓ ✓ ✗ ✗ ✓                          each of them: it is read 1 + `random` times
      ...

Which block is the last follows from how long a sequence is, so the rule is drawn once the lengths are known (`sized`). A
sequence of at most 5 + 2 * `random` blocks reads everything. The original pads a batch and counts blocks up to its width, so
there a text's numbers depend on its neighbours; here a text's blocks are counted up to its own end.

Legend: N sequences, H heads, n blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from maskfork.core.mask import And, Index, Mask, Or
from maskfork.errors import UsageError

# Lengths for which the paper's own plan is drawn (over the longest sequence, up to this place), as published.
_PLANNED, _UP_TO = (1024, 3072, 4096), 1024


@dataclass(frozen=True)
class Blocks(Mask):
    """Blocks of `size` tokens. `random` blocks are drawn for each of `heads` from `seed` (the layer's number) in training.

    `longest` is the model's number of places, which the published plan for some lengths is drawn over.
    """

    size: int
    random: int = 0
    seed: int = field(default=0, compare=False)  # where nothing is drawn, rules that differ in it are the same
    heads: int = 1
    longest: int = 4096
    drawn: int | None = None  # the seed that they are drawn from, None where they are not
    same_for_all = True
    needs_lengths = True

    def __post_init__(self) -> None:
        if self.size < 1 or self.random < 0:
            raise UsageError(f"blocks have a size of one or more and random ones are not negative, but got {self}")

    def in_training(self) -> Mask:
        return replace(self, drawn=self.seed if self.random else None)

    def sized(self, lengths: Tensor) -> Mask:
        return BlocksIn(self.counts(lengths), self.size)

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        raise UsageError(f"{self} depends on how long the sequence is: bind it to a batch, or ask for its matrix")

    def is_full(self, length: int) -> bool:
        """Whether a sequence is so short that it reads everything."""
        return length <= (5 + 2 * self.random) * self.size

    def counts(self, lengths: Tensor) -> Tensor:
        """How often a query block reads a key block, int [N, H or 1, n, n]; rows and columns beyond a sequence's end are 0."""
        tables = [_counts(self, int(n)) for n in lengths.tolist()]
        heads, most = max(t.shape[0] for t in tables), max(t.shape[-1] for t in tables)
        out = torch.zeros(len(tables), heads, most, most, dtype=torch.long)
        for i, table in enumerate(tables):
            out[i, :, : table.shape[-1], : table.shape[-1]] = table
        return out.to(lengths.device)


@dataclass(frozen=True, eq=False)
class BlocksIn(Mask):
    """`Blocks` for sequences whose lengths are known: `counts` [N, H or 1, n, n]."""

    counts: Tensor
    size: int

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return look_up(self.counts, self.size, b, h, q, k) > 0

    def __repr__(self) -> str:
        return f"Blocks({self.size}, {self.counts.shape[-1]} at most)"


def look_up(counts: Tensor, size: int, b: Index, h: Index, q: Index, k: Index) -> Tensor:
    """The entry of `counts` for token `q` and `k` of sequence `b`; indices broadcast."""
    sequences, heads, most, _ = counts.shape
    q, k = (torch.as_tensor(x, device=counts.device).div(size, rounding_mode="floor").clamp_max(most - 1) for x in (q, k))
    return counts[b if sequences > 1 else 0, h if heads > 1 else 0, q, k]


def blocks_of(rule: Mask) -> Blocks | None:
    """The `Blocks` in a rule, if there is one."""
    if isinstance(rule, And | Or):
        return next((found for part in rule.parts if (found := blocks_of(part)) is not None), None)
    return rule if isinstance(rule, Blocks) else None


@lru_cache(maxsize=256)
def _counts(rule: Blocks, length: int) -> Tensor:
    """[H or 1, n, n] for one sequence."""
    n = max(1, -(-length // rule.size))
    if rule.is_full(length):
        return torch.ones(1, n, n, dtype=torch.long)
    at = torch.arange(n)
    ends = (at == 0) | (at == n - 1)
    near = (at[:, None] - at).abs() <= 1
    counts = (near | ends | ends[:, None]).long()[None].repeat(1 if rule.drawn is None else rule.heads, 1, 1)
    if rule.drawn is None:
        counts[:, 1:-1, 0] += rule.random
        return counts
    for head, rows in enumerate(_drawn(rule, n)):
        for row, chosen in enumerate(rows, start=1):
            for block in chosen:
                counts[head, row, block] += 1
    return counts


def _drawn(rule: Blocks, n: int) -> list[list[list[int]]]:
    """For each head and each block between the first and the last, the blocks that chance gives it.

    The draws come from numpy's old generator in the order in which the original makes them, so that they are the same.
    """
    lots = np.random.RandomState(rule.drawn)
    if n * rule.size in _PLANNED:
        return [_planned(rule, lots)[: n - 2] for _ in range(rule.heads)]
    reach = 2 * rule.random + 5  # chance reaches this many blocks from the start
    found: list[list[list[int]]] = [[] for _ in range(rule.heads)]
    for row in range(1, n):  # the last row is drawn too, and left out
        barred = {row - 1, row, row + 1, 0, reach - 1}
        if row == 1:
            barred.add(reach - 2)
        if row == reach - 2:
            barred.add(1)
        for head in found:
            order = lots.permutation(np.arange(reach, dtype=np.int32)).tolist()
            head.append([block for block in order if block not in barred][: rule.random])
    return [head[: n - 2] for head in found]


def _planned(rule: Blocks, lots: np.random.RandomState) -> list[list[int]]:
    """One head's draws over the longest sequence."""
    n = rule.longest // rule.size
    middle = np.arange(1, n - 1, dtype=np.int32)
    last = _UP_TO // rule.size - 1 if 2 * rule.size < _UP_TO else n - 1
    rows = []
    for row in range(1, n - 1):
        if row in (1, 2):
            pool = middle[row + 1 : last]
        elif row >= n - 3 or row - 2 > last:
            pool = middle[:last]
        elif row + 1 == last:
            pool = middle[: row - 2]
        else:
            pool = np.concatenate((middle[: row - 2], middle[row + 1 : last]))
        rows.append(lots.permutation(pool)[: rule.random].tolist())
    return rows
