"""Bootstrap resamples of rows as weights, and macro-F1 on every resample at once.

A resample is a column of counts: how often each held-out row was drawn. All contenders see the same columns, which is
what makes every difference a paired one. Nothing loops over resamples: they are columns of a matrix, made in chunks so
that memory stays bounded whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from maskfork.errors import UsageError
from maskfork.measure.metrics import FloatArray, IntArray, f1_from_counts

_CHUNK_CELLS = 8_000_000  # float32: about 32 MB of weights at a time


def row_weights(rows: int, resamples: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Chunks [N, B'] of draw counts, each column summing to N, `resamples` columns in all. Same seed, same columns."""
    if resamples < 2:
        raise UsageError(f"An interval needs at least 2 resamples, not {resamples}; 2000 is the usual number.")
    rng = np.random.default_rng(seed)
    width = max(1, _CHUNK_CELLS // rows)
    for start in range(0, resamples, width):
        columns = min(width, resamples - start)
        drawn = rng.integers(rows, size=(rows, columns), dtype=np.int64)
        drawn *= columns
        drawn += np.arange(columns)
        counts = np.bincount(drawn.ravel(), minlength=rows * columns)
        yield counts.reshape(rows, columns).astype(np.float32)


def _class_sums(classes: IntArray, keep: NDArray[np.bool_], num_classes: int) -> sparse.csr_array:
    """A 0/1 matrix [C, N] whose product with weights [N, B] counts, per class, the kept rows."""
    rows = np.flatnonzero(keep)
    ones = np.ones(rows.size, dtype=np.float32)
    return sparse.csr_array((ones, (classes[rows], rows)), shape=(num_classes, classes.size))


def resampled_macro_f1(
    contenders: Sequence[IntArray], labels: IntArray, num_classes: int, resamples: int, seed: int
) -> list[FloatArray]:
    """Macro-F1 of every seed of every contender on the same resamples: for each contender [S, N] an array [S, B]."""
    everything = np.ones(labels.size, dtype=np.bool_)
    actual_sums = _class_sums(labels, everything, num_classes)
    sums = [
        [(_class_sums(g, g == labels, num_classes), _class_sums(g, everything, num_classes)) for g in predicted]
        for predicted in contenders
    ]
    chunks: list[list[FloatArray]] = [[] for _ in contenders]
    for weights in row_weights(labels.size, resamples, seed):
        actual = actual_sums @ weights
        for k, seeds in enumerate(sums):
            chunks[k].append(np.stack([f1_from_counts(hit @ weights, guess @ weights, actual) for hit, guess in seeds]))
    return [np.concatenate(parts, axis=1) for parts in chunks]
