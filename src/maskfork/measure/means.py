"""The mean of values between 0 and 1, one a query (nDCG, reciprocal ranks): its interval, and the paired one of a difference."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import ArrayLike

from maskfork.errors import DataError
from maskfork.measure.intervals import AGREED, Interval, quantile, wilson_bounds


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the mean of N values between 0 and 1 over new draws of what they were measured on.

    Wilson's form with as many rows as give the variance seen, as `score_interval` has it for accuracy: never of zero width,
    also where every value is 1. Raises DataError for no values, or values outside 0..1.
    """
    found = _shares(values)
    count, mean = found.size, float(found.mean())
    spread = float(found.var(ddof=1)) if count > 1 else mean * (1.0 - mean)
    effect = (count * spread + AGREED) / (count * mean * (1.0 - mean) + AGREED)
    low, high = wilson_bounds(mean, count / effect, quantile(level))
    return Interval(mean, min(low, mean), max(high, mean))


def mean_difference(a: ArrayLike, b: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of mean(a) - mean(b), values of the same N queries: Student's t of the differences. Raises DataError."""
    first, second = _shares(a), _shares(b)
    if first.size != second.size or first.size < 2:
        raise DataError(
            f"A paired difference needs the same two queries or more on both sides, not {first.size} and {second.size}."
        )
    return paired_mean(first - second, level)


def paired_mean(differences: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval of the mean of N differences, two or more, one a row or query. Raises DataError."""
    apart = np.asarray(differences, dtype=np.float64).ravel()
    if apart.size < 2:
        raise DataError(f"A paired difference needs two rows or more, not {apart.size}.")
    half = quantile(level, apart.size - 1) * float(apart.std(ddof=1)) / sqrt(apart.size)
    value = float(apart.mean())
    return Interval(value, value - half, value + half)


def _shares(values: ArrayLike) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64).ravel()
    if not found.size or not ((found >= 0.0) & (found <= 1.0)).all():
        raise DataError("A mean of shares needs a value at least, and each between 0 and 1.")
    return found
