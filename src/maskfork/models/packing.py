"""Encoded texts in packed batches: like lengths together, at most so many tokens at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from maskfork.core.batch import Batch
from maskfork.models.encode import Encoding, Windows

#: tokens of one prediction batch: large enough to fill two cores, small enough to stay in their cache
TOKENS = 2048


def by_tokens(lengths: Sequence[int], budget: int, rows: int = 256, *, filled: bool = False) -> Iterator[np.ndarray]:
    """All rows, longest first, in batches of at most `budget` tokens (one row at the least) and `rows` rows.

    `filled`: a row counts as many tokens as the longest of its batch, as where batches are rectangles.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        end, tokens = start, 0
        while end < len(order) and end - start < rows:
            more = lengths[order[start if filled else end]]
            if end > start and tokens + more > budget:
                break
            tokens += more
            end += 1
        yield order[start:end]
        start = end


def make_batch(encoding: Encoding, rows: np.ndarray) -> Batch:
    """These rows packed, without padding between them; a large batch is filled up to a multiple of 64 tokens.

    oneDNN keeps compiled kernels for every shape that it meets: with every number of tokens a shape of its own, memory
    grows by some 9 MB a training step (docs/log.md).
    """
    return packed(*encoding.take(rows))


def packed(ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None) -> Batch:
    """The same of sequences."""
    return Batch.packed(ids, types, multiple=_multiple(sum(map(len, ids))))


def filling(lengths: Sequence[int]) -> int:
    """Tokens by which `packed` fills up the batches of `by_tokens` for sequences of these lengths."""
    sizes = [sum(lengths[row] for row in part.tolist()) for part in by_tokens(lengths, TOKENS)]
    return sum(-size % _multiple(size) for size in sizes)


def _multiple(tokens: int) -> int:
    return 64 if tokens >= 512 else 1


def window_batch(read: Windows, rows: np.ndarray) -> tuple[Batch, list[int] | None]:
    """These texts packed, and how many windows each has; None where each is one."""
    windows, counts = windows_of(read, rows)
    return make_batch(read.encoding, windows), counts


def windows_of(read: Windows, rows: np.ndarray) -> tuple[np.ndarray, list[int] | None]:
    """The numbers of these texts' windows in order, and how many each has; None where each is one."""
    counts = [read.starts[row + 1] - read.starts[row] for row in rows.tolist()]
    windows = np.concatenate([np.arange(read.starts[row], read.starts[row + 1]) for row in rows.tolist()])
    return windows, counts if max(counts) > 1 else None
