"""How well predicted numbers follow the true ones: Spearman's rho of their order, Pearson's r, with intervals.

The interval is Fisher's transform; Bonett & Wright (2000): its variance is (1 + r^2 / 2) / (N - 3) for rho, 1 / (N - 3) for r.
"""

from __future__ import annotations

from math import atanh, sqrt, tanh

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from maskfork.errors import DataError
from maskfork.measure.intervals import Interval, quantile
from maskfork.measure.metrics import FloatArray


def spearman(predicted: ArrayLike, truth: ArrayLike, level: float = 0.95) -> Interval:
    """Rank correlation of N predictions [N] with the truth [N], equal values at their mean rank; 0 where one side is constant.

    Raises DataError for fewer than 4 rows, unequal lengths or values that are no numbers.
    """
    a, b = _both(predicted, truth)
    rho = _correlation(rankdata(a), rankdata(b))
    return _fisher(rho, sqrt((1.0 + rho * rho / 2.0) / (a.size - 3)), level)


def pearson(predicted: ArrayLike, truth: ArrayLike, level: float = 0.95) -> Interval:
    """Linear correlation; as `spearman` otherwise."""
    a, b = _both(predicted, truth)
    return _fisher(_correlation(a, b), 1.0 / sqrt(a.size - 3), level)


def spearman_difference(
    a: ArrayLike, b: ArrayLike, truth: ArrayLike, resamples: int = 1000, seed: int = 0, level: float = 0.95
) -> Interval:
    """Interval of spearman(a) - spearman(b) on the same rows: percentiles over rows drawn again, both sides the same."""
    first, gold = _both(a, truth)
    second, _ = _both(b, truth)
    rng = np.random.default_rng(seed)
    apart = np.empty(resamples)
    for k in range(resamples):
        rows = rng.integers(gold.size, size=gold.size)
        order = rankdata(gold[rows])
        apart[k] = _correlation(rankdata(first[rows]), order) - _correlation(rankdata(second[rows]), order)
    value = spearman(first, gold).value - spearman(second, gold).value
    low, high = (float(x) for x in np.quantile(apart, [(1.0 - level) / 2.0, (1.0 + level) / 2.0]))
    return Interval(value, min(low, value), max(high, value))


def _both(predicted: ArrayLike, truth: ArrayLike) -> tuple[FloatArray, FloatArray]:
    a, b = np.asarray(predicted, dtype=np.float64).ravel(), np.asarray(truth, dtype=np.float64).ravel()
    if a.size != b.size or a.size < 4:
        raise DataError(f"A correlation needs four rows or more, as many predicted as true; there are {a.size} and {b.size}.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise DataError("A correlation needs finite numbers: a score among these is none.")
    return a, b


def _correlation(a: FloatArray, b: FloatArray) -> float:
    x, y = a - a.mean(), b - b.mean()
    size = sqrt(float(x @ x) * float(y @ y))
    return float(np.clip(x @ y / size, -1.0, 1.0)) if size > 0.0 else 0.0


def _fisher(value: float, spread: float, level: float) -> Interval:
    if abs(value) == 1.0:  # the transform has no end there: all rows seen agree
        return Interval(value, value, value)
    half = quantile(level) * spread
    return Interval(value, tanh(atanh(value) - half), tanh(atanh(value) + half))
