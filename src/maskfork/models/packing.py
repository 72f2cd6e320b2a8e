"""Encoded texts in packed batches: like lengths together, at most so many tokens at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from maskfork.core.batch import Batch
from maskfork.models.encode import Encoding, Windows

#: tokens of one prediction batch: large enough to fill two cores, small enough to stay in their cache
TOKENS = 2048


def by_tokens(lengths: Sequence[int], budget: int, rows: int = 256) -> Iterator[np.ndarray]:
    """All rows, longest first, in batches of at most `budget` tokens (one row at the least) and `rows` rows."""
    order = np.argsort(-np.asarray(lengths), kind="stable")
    start = 0
    while start < len(order):
        end, tokens = start, 0
        while end < len(order) and end - start < rows and (end == start or tokens + lengths[order[end]] <= budget):
            tokens += lengths[order[end]]
            end += 1
        yield order[start:end]
        start = end


def make_batch(encoding: Encoding, rows: np.ndarray) -> Batch:
    """These rows packed, without padding between them; a large batch is filled up to a multiple of 64 tokens.

    oneDNN keeps compiled kernels for every shape that it meets: with every number of tokens a shape of its own, memory
    grows by some 9 MB a training step (docs/log.md).
    """
    types = None if encoding.types is None else [encoding.types[i] for i in rows]
    ids = [encoding.ids[i] for i in rows]
    return Batch.packed(ids, types, multiple=64 if sum(map(len, ids)) >= 512 else 1)


def window_batch(read: Windows, rows: np.ndarray) -> tuple[Batch, list[int] | None]:
    """These texts packed, and how many windows each has; None where each is one."""
    counts = [read.starts[row + 1] - read.starts[row] for row in rows.tolist()]
    windows = np.concatenate([np.arange(read.starts[row], read.starts[row + 1]) for row in rows.tolist()])
    return make_batch(read.encoding, windows), counts if max(counts) > 1 else None
