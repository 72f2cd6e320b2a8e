"""Room for virtual tokens in front of each sequence of a batch, and the way back.

    padded left    .  .  a  b         packed   a  a  b  b  b
    two each       .  .  V  V  a  b            V  V  a  a  V  V  b  b  b

Legend: B rows, S tokens of a row, W = S and the virtual ones, N sequences, P virtual tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.batch import Batch


@dataclass(frozen=True, eq=False)
class Inserted:
    """`batch` [B, W] with virtual tokens in it; `at` [B, S]: where in its row each token of the old batch stands now."""

    batch: Batch
    at: Tensor

    def cut(self, x_BWE: Tensor) -> Tensor:
        """[B, W, ...] -> [B, S, ...]: the old batch's tokens alone."""
        index = self.at.view(*self.at.shape, *(1 for _ in x_BWE.shape[2:])).expand(-1, -1, *x_BWE.shape[2:])
        return x_BWE.gather(1, index)


def insert(batch: Batch, ids: Sequence[Tensor]) -> Inserted:
    """Put the token ids `ids[n]` [P_n] before the n-th sequence; places count on from them.

    A row of a batch that is not packed is one sequence, whatever its padding.
    """
    rows, width = batch.shape
    spans = _spans(batch)
    row_N = torch.tensor([row for row, _, _ in spans], dtype=torch.long)
    start_N = torch.tensor([start for _, start, _ in spans], dtype=torch.long)
    count_N = torch.tensor([len(new) for new in ids], dtype=torch.long)
    before_BS = torch.zeros(rows, width, dtype=torch.long).index_put((row_N, start_N), count_N).cumsum(1)
    wide = width + int(before_BS[:, -1].max())
    at_BS = torch.arange(width) + before_BS
    first_N = at_BS[row_N, start_N] - count_N
    number = torch.repeat_interleave(torch.arange(len(spans)), count_N)
    within = torch.cat([torch.arange(len(new)) for new in ids])
    device = batch.tokens.device
    virtual = (row_N[number].to(device), (first_N[number] + within).to(device))
    at_BS = at_BS.to(device)
    own_BS = _own(batch, spans, count_N.to(device))  # how many stand before each token in its own sequence

    def moved(x: Tensor | None, filler: int | bool, new: Tensor | int | bool) -> Tensor | None:
        if x is None:
            return None
        out = x.new_full((rows, wide), filler).scatter(1, at_BS, x.expand(rows, -1))
        out[virtual] = new if isinstance(new, Tensor) else x.new_tensor(new)
        return out

    even = int(count_N.min()) == int(count_N.max()) and not batch.is_packed
    keep = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.keep is None else batch.keep
    segments = None if batch.segments is None else batch.segments[row_N.to(device), start_N.to(device)][number.to(device)]
    places = moved((batch.positions.expand(rows, -1) + own_BS), 0, within.to(device))
    tokens = moved(batch.tokens, 0, torch.cat(list(ids)).to(device))
    assert places is not None
    assert tokens is not None
    longer = Batch(
        tokens,
        places,
        None if batch.is_packed or (even and batch.keep is None) else moved(keep, False, True),
        moved(batch.types, 0, 0),
        moved(batch.segments, -1, -1 if segments is None else segments),
        moved(batch.marks, False, False),
        moved(batch.words, -1, -1),
    )
    return Inserted(longer, at_BS)


def sequences(batch: Batch) -> int:
    """How many sequences a batch has: rows, unless it is packed."""
    return len(_spans(batch))


def _spans(batch: Batch) -> Sequence[tuple[int, int, int]]:
    """(row, first token, tokens) of each sequence; a row that is not packed is one from its first kept token."""
    if batch.is_packed:
        return batch.sequences
    rows, width = batch.shape
    if batch.keep is None:
        return [(row, 0, width) for row in range(rows)]
    firsts = batch.keep.int().argmax(1).tolist()
    return [(row, first, width - first) for row, first in enumerate(firsts)]


def _own(batch: Batch, spans: Sequence[tuple[int, int, int]], count_N: Tensor) -> Tensor:
    if not batch.is_packed:
        return count_N[:, None]
    own = torch.zeros_like(batch.tokens)
    for (row, start, n), count in zip(spans, count_N.tolist(), strict=True):
        own[row, start : start + n] = count
    return own
