"""Prediction-powered inference: a mean over all texts from a few rows labelled by hand and many labelled by a model.

    estimate = mean of truth on the gold rows + weight * (mean proxy on the other rows - mean proxy on the gold rows)

The proxy (what a teacher's labels would say of the row) takes away variance, and never shifts the estimate: the gold rows say
how far it is off. Angelopoulos, Bates, Fannjiang, Jordan and Zrnic, "Prediction-powered inference" (Science, 2023); the weight
that makes the variance least is from "PPI++" (Angelopoulos, Duchi and Zrnic 2023, section 6.1).

Gold rows and other rows must be draws from the same texts, and what is measured must have learnt from neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize

from maskfork.errors import DataError, UsageError
from maskfork.measure.intervals import AGREED, Interval, quantile, wilson_bounds
from maskfork.measure.means import mean_interval
from maskfork.measure.metrics import FloatArray

LEAST_GOLD = 10  # below, neither the weight nor a variance can be told
_MOST_ROWS = 10**9


@dataclass(frozen=True)
class Powered:
    """A mean, three ways.

    `interval` is the prediction-powered one, `gold` that of the gold rows alone; `naive` takes the proxies for the truth: it is
    narrow and, unless the proxy is right on average, wrong. `error` is the standard error of `interval.value`, `weight` how much
    of the proxy was used (0 to 1). `spread` and `correlation` (of truth and proxy on the gold rows) say what more gold rows
    would bring: `rows_for_width`.
    """

    interval: Interval
    gold: Interval
    naive: Interval
    error: float
    weight: float
    spread: float
    correlation: float
    gold_rows: int
    other_rows: int


def powered_share(truth: ArrayLike, proxy: ArrayLike, others: ArrayLike, level: float = 0.95) -> Powered:
    """A share (an accuracy): `truth` [n] and `proxy` [n] of the gold rows, `others` [N] the proxy elsewhere, all in 0..1.

    The interval has Wilson's form with as many rows as give the variance seen, as `mean_interval` has it: never of zero width.
    Raises DataError for values outside 0..1, unlike lengths, or fewer than 10 gold rows.
    """
    gold, guess, rest = _values(truth, proxy, others)
    if min(part.min() for part in (gold, guess, rest)) < 0.0 or max(part.max() for part in (gold, guess, rest)) > 1.0:
        raise DataError("A share is estimated from values between 0 and 1, the proxies too.")
    value, error, weight = _estimate(gold, guess, rest)
    value = min(1.0, max(0.0, value))
    effect = (gold.size**2 * error**2 + AGREED) / (gold.size * value * (1.0 - value) + AGREED)
    low, high = wilson_bounds(value, gold.size / effect, quantile(level))
    interval = Interval(value, min(low, value), max(high, value))
    naive = mean_interval(np.concatenate([guess, rest]), level)
    return _powered(interval, mean_interval(gold, level), naive, error, weight, gold, guess, rest)


def powered_mean(truth: ArrayLike, proxy: ArrayLike, others: ArrayLike, level: float = 0.95) -> Powered:
    """The same of values of any size (a difference of two models' hits, -1..1), with Student's t. Raises DataError."""
    gold, guess, rest = _values(truth, proxy, others)
    value, error, weight = _estimate(gold, guess, rest)
    both = np.concatenate([guess, rest])

    def around(centre: float, spread: float, rows: int) -> Interval:
        half = quantile(level, rows - 1) * spread
        return Interval(centre, centre - half, centre + half)

    plain = around(float(gold.mean()), float(gold.std(ddof=1)) / sqrt(gold.size), gold.size)
    naive = around(float(both.mean()), float(both.std(ddof=1)) / sqrt(both.size), both.size)
    return _powered(around(value, error, gold.size), plain, naive, error, weight, gold, guess, rest)


def rows_for_width(
    width: float, share: float, *, correlation: float = 0.0, others: int | None = None, level: float = 0.95
) -> int:
    """Gold rows for an interval of this whole width, where the share is about `share` (0.5 asks for most rows).

    The variance of n gold rows with the best weight is s^2/n (1 - r^2 / (1 + n/N)), r the correlation of truth and proxy, N the
    `others` (None: endless). Raises UsageError for figures that cannot be.
    """
    if not 0.0 < width < 1.0 or not 0.0 <= share <= 1.0 or not -1.0 <= correlation <= 1.0 or (others or 1) < 1:
        raise UsageError(
            f"The rows for a width need a width in (0, 1), a share in 0..1 and a correlation in -1..1; not {width}, {share} and "
            f"{correlation}."
        )
    z = quantile(level)

    def excess(rows: float) -> float:
        left = 1.0 - correlation**2 / (1.0 + (0.0 if others is None else rows / others))
        rows_as_good = rows / max(left, 1e-9)
        low, high = wilson_bounds(share, rows_as_good, z)
        return (high - low) - width

    if excess(1.0) <= 0.0:
        return 1
    return ceil(float(optimize.brentq(excess, 1.0, float(_MOST_ROWS), xtol=1e-3)))


def _values(truth: ArrayLike, proxy: ArrayLike, others: ArrayLike) -> tuple[FloatArray, FloatArray, FloatArray]:
    gold, guess, rest = (np.asarray(part, dtype=np.float64).ravel() for part in (truth, proxy, others))
    if gold.size != guess.size or gold.size < LEAST_GOLD or rest.size < 2:
        raise DataError(
            f"Prediction-powered inference needs {LEAST_GOLD} gold rows or more, each with its proxy, and other rows with "
            f"theirs; not {gold.size}, {guess.size} and {rest.size}."
        )
    if not all(np.isfinite(part).all() for part in (gold, guess, rest)):
        raise DataError("Prediction-powered inference needs finite values: leave out rows that have none.")
    return gold, guess, rest


def _estimate(gold: FloatArray, guess: FloatArray, rest: FloatArray) -> tuple[float, float, float]:
    """(estimate, standard error, weight)."""
    both = float(np.concatenate([guess, rest]).var(ddof=1))
    together = float(((gold - gold.mean()) * (guess - guess.mean())).mean())
    weight = min(1.0, max(0.0, together / ((1.0 + gold.size / rest.size) * both))) if both > 0.0 else 0.0
    value = float(gold.mean() + weight * (rest.mean() - guess.mean()))
    corrected = gold - weight * guess
    error = sqrt(float(corrected.var(ddof=1)) / gold.size + weight**2 * float(rest.var(ddof=1)) / rest.size)
    return value, error, weight


def _powered(
    interval: Interval, plain: Interval, naive: Interval, error: float, weight: float, gold: FloatArray, guess: FloatArray,
    rest: FloatArray,
) -> Powered:  # fmt: skip
    spread, other = float(gold.std(ddof=1)), float(guess.std(ddof=1))
    correlation = float(np.corrcoef(gold, guess)[0, 1]) if min(spread, other) > 0.0 else 0.0
    return Powered(interval, plain, naive, error, weight, spread, correlation, gold.size, rest.size)
