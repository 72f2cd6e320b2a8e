"""Which rows go together: with in-batch negatives no text twice, with labels at least two of each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from maskfork.learn.data.rows import IntArray

#: rows of one label that stand side by side in a batch
ALIKE = 4


def apart(texts_NK: IntArray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One epoch in which no text (by its number) stands in two rows of a batch: it would be its own negative.

    A row that would repeat a text waits for a later batch; the last ones may be small, and one of a single row with two texts,
    which has nothing to tell apart, is left for the next epoch.
    """
    waiting = rng.permutation(len(texts_NK)).tolist()
    row_texts = [set(row) for row in texts_NK.tolist()]
    few = size > 1 and texts_NK.shape[1] == 2
    while waiting:
        batch: list[int] = []
        held: set[int] = set()
        later: list[int] = []
        for place, row in enumerate(waiting):
            if held.isdisjoint(row_texts[row]):
                batch.append(row)
                held |= row_texts[row]
                if len(batch) == size:
                    later += waiting[place + 1 :]
                    break
            else:
                later.append(row)
        if len(batch) > 1 or not few or len(texts_NK) == 1:
            yield np.array(batch, dtype=np.int64)
        waiting = later


def alike(labels: IntArray, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One epoch in which rows of a label come in groups of up to `ALIKE`, so that a batch holds several labels, twice or more."""
    groups: list[np.ndarray] = []
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        count = max(1, len(rows) // ALIKE)  # no group of one, where a label has more rows
        groups += np.array_split(rows, count)
    order = np.concatenate([groups[i] for i in rng.permutation(len(groups))])
    for start in range(0, len(order), size):
        yield order[start : start + size]


def any_order(count: int, size: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """One epoch at random."""
    order = rng.permutation(count)
    for start in range(0, count, size):
        yield order[start : start + size]
