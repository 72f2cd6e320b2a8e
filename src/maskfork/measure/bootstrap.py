"""Intervals of figures that are no mean over rows (span F1, F1 of answers by paragraph): rows, or groups of them, drawn again.

A row is what is drawn as one: a sentence with all its spans, a paragraph with all its questions. Each row gives K counts, and
the figure is a function of their sums.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from maskfork.errors import DataError
from maskfork.measure.intervals import Interval, wilson
from maskfork.measure.metrics import FloatArray
from maskfork.measure.resample import row_weights

Figure = Callable[[FloatArray], FloatArray]  # sums [K, B] -> values [B]


def f1_of_counts(sums: FloatArray) -> FloatArray:
    """Sums [3, B] of correct, predicted and gold -> F1 [B], 0 where there is nothing; by the steps of `SpanScore.f1`."""
    correct, predicted, gold = sums
    precision, recall = correct / np.maximum(predicted, 1.0), correct / np.maximum(gold, 1.0)
    total = precision + recall
    return np.asarray(2 * precision * recall / np.where(total > 0, total, 1.0), dtype=np.float64)


def share(sums: FloatArray) -> FloatArray:
    """Sums [2, B] of a part and of its whole -> the share [B], 0 where there is nothing."""
    return np.asarray(sums[0] / np.maximum(sums[1], 1e-12), dtype=np.float64)


def bootstrap_interval(
    counts: ArrayLike, figure: Figure, *, resamples: int = 2000, seed: int = 0, level: float = 0.95, bounded: bool = True
) -> Interval:
    """Percentile interval of a figure from counts [N, K]; the same seed draws the same rows.

    Where no resample differs (every row right) and the figure is `bounded`, between 0 and 1, the interval is Wilson's over N
    rows, so that it has a width. Raises DataError without rows.
    """
    rows = _rows(counts)
    value, drawn = float(figure(rows.sum(0)[:, None])[0]), _drawn(rows, figure, resamples, seed)
    low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    if bounded and low == high:
        around = wilson(round(value * len(rows)), len(rows), level)
        low, high = around.low, around.high
    return Interval(value, min(float(low), value), max(float(high), value))


def bootstrap_difference(
    a: ArrayLike, b: ArrayLike, figure: Figure, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Percentile interval of figure(a) - figure(b), counts [N, K] of the same rows: both sides see the same draws."""
    ours, theirs = _rows(a), _rows(b)
    if ours.shape != theirs.shape:
        raise DataError(f"a paired difference needs the same rows on both sides, not {len(ours)} and {len(theirs)}.")
    gap = _drawn(ours, figure, resamples, seed) - _drawn(theirs, figure, resamples, seed)
    value = float((figure(ours.sum(0)[:, None]) - figure(theirs.sum(0)[:, None]))[0])
    low, high = np.quantile(gap, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return Interval(value, min(float(low), value), max(float(high), value))


def _rows(counts: ArrayLike) -> FloatArray:
    rows = np.asarray(counts, dtype=np.float64)
    if rows.ndim != 2 or not len(rows):
        raise DataError("an interval needs a row of counts at least; give rows that have a label.")
    return rows


def _drawn(rows: FloatArray, figure: Figure, resamples: int, seed: int) -> FloatArray:
    return np.concatenate([figure(rows.T @ weights) for weights in row_weights(len(rows), resamples, seed)])
