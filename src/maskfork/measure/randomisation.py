"""Is one set of predictions better than another? Approximate randomisation (Noreen 1989): their rows change sides at random.

If both were as good, swapping them on any row would change nothing; p is how often a swapped difference is as large as the one
seen, both directions counted, one added above and below so that it is never 0.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskfork.errors import DataError
from maskfork.measure.bootstrap import Figure
from maskfork.measure.metrics import FloatArray

_CHUNK_CELLS = 4_000_000
_CLOSE = 1e-12  # rounding must not make an equal difference a smaller one


def swapped_counts_p(a: ArrayLike, b: ArrayLike, figure: Figure, *, resamples: int = 2000, seed: int = 0) -> float:
    """p of figure(a) = figure(b), both [N, K] counts whose sums make the figure. Raises DataError for unequal shapes."""
    ours, theirs = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if ours.shape != theirs.shape:
        raise DataError(f"a paired test needs the same rows on both sides, not {ours.shape} and {theirs.shape}.")
    apart, both = ours - theirs, ours.sum(axis=0) + theirs.sum(axis=0)
    seen = _gap(figure, ours.sum(axis=0)[:, None], both)[0]
    found = 0
    for sides in _sides(len(ours), resamples, seed):
        first = theirs.sum(axis=0)[:, None] + apart.T @ sides
        found += int((np.abs(_gap(figure, first, both)) >= abs(seen) - _CLOSE).sum())
    return (found + 1) / (resamples + 1)


def swapped_values_p(
    a: ArrayLike, b: ArrayLike, score: Callable[[FloatArray], float], *, resamples: int = 1000, seed: int = 0
) -> float:
    """The same for a score of values [N] that no sums make, such as a rank correlation."""
    ours, theirs = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    seen = abs(score(ours) - score(theirs))
    found = 0
    for sides in _sides(len(ours), resamples, seed):
        for side in sides.T > 0:
            found += abs(score(np.where(side, ours, theirs)) - score(np.where(side, theirs, ours))) >= seen - _CLOSE
    return (found + 1) / (resamples + 1)


def _gap(figure: Figure, first: FloatArray, both: FloatArray) -> FloatArray:
    return np.asarray(figure(first) - figure(both[:, None] - first))


def _sides(rows: int, resamples: int, seed: int) -> list[NDArray[np.float32]]:
    """Chunks [N, B'] of 0 and 1, fair coins."""
    rng = np.random.default_rng(seed)
    width = max(1, _CHUNK_CELLS // rows)
    return [
        rng.integers(0, 2, size=(rows, min(width, resamples - start))).astype(np.float32) for start in range(0, resamples, width)
    ]
