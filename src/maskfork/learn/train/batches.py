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
