"""Which rows go together: like lengths, so that little is computed for nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np


def shuffled_buckets(lengths: Sequence[int], batch_size: int, rng: np.random.Generator, window: int = 20) -> Iterator[np.ndarray]:
    """One epoch: rows shuffled, sorted by length inside windows of `window` batches, batches in random order."""
    order = rng.permutation(len(lengths))
    sizes = np.asarray(lengths)
    batches: list[np.ndarray] = []
    for start in range(0, len(order), window * batch_size):
        part = order[start : start + window * batch_size]
        part = part[np.argsort(sizes[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    for i in rng.permutation(len(batches)):
        yield batches[i]


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
