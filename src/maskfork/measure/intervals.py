"""Intervals of one score: Wilson's, widened by what the rows and the seeds really show.

Chosen by simulation (tests/measure/test_intervals.py holds bounds to it), nominal 95 %, N = 100..2000, accuracy .6 to
.99. The bootstrap of rows and seeds with percentile, basic or bias-corrected ends covers about 58-64 % at accuracy .99
and N = 100, where most test sets hold one error or none; this form covers 92 % there and 92-98 % elsewhere. Both use
the bootstrap's variance: the gain is the shape, skewed near 0 and 1, and the t quantile where seeds are few.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from maskfork.errors import UsageError
from maskfork.measure.spread import Metric, Spread, spread_of

# Two rows right and two wrong, as Agresti & Coull (1998) add them, keep a variance above 0 where no error was seen.
ADDED = 2.0
# Error rows on which the seeds agree, added where it is judged how far seeds err on different rows: with no or one error
# seen there is nothing to judge by, and copies of one run must not count as more rows.
AGREED = 1.0


@dataclass(frozen=True)
class Interval:
    """A figure and the bounds of its confidence interval, `low <= value <= high`."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """True where all of the interval lies on one side of 0: the only case in which a difference is a difference."""
        return self.low > 0.0 or self.high < 0.0


def quantile(level: float, freedom: float = inf) -> float:
    """The two-sided t quantile (normal for endless degrees of freedom); UsageError for a level outside (0, 1)."""
    if not 0.0 < level < 1.0:
        raise UsageError(f"The level of an interval lies between 0 and 1, as in 0.95; {level} does not.")
    tail = (1.0 + level) / 2.0
    return float(stats.norm.ppf(tail) if freedom == inf else stats.t.ppf(tail, freedom))


def wilson_bounds(share: float, rows: float, z: float) -> tuple[float, float]:
    """Wilson's bounds of a share of `rows` rows, which need not be a whole number."""
    centre = share + z * z / (2.0 * rows)
    half = z * sqrt(share * (1.0 - share) / rows + z * z / (4.0 * rows * rows))
    scale = 1.0 + z * z / rows
    low, high = (centre - half) / scale, (centre + half) / scale
    # at 0 and 1 the bound is the value itself, which rounding would miss by 1e-17
    return (0.0 if share == 0.0 else max(0.0, low)), (1.0 if share == 1.0 else min(1.0, high))


def wilson(successes: int, rows: int, level: float = 0.95) -> Interval:
    """Wilson's score interval (1927) of a plain proportion, `successes` of `rows`; UsageError for impossible counts."""
    if rows < 1 or not 0 <= successes <= rows:
        raise UsageError(f"A proportion needs 0 <= successes <= rows and a row; {successes} of {rows} is none.")
    share = successes / rows
    return Interval(share, *wilson_bounds(share, float(rows), quantile(level)))


def freedom_of(parts: list[tuple[float, float]], total: float) -> float:
    """Welch-Satterthwaite degrees of freedom of the variance `total`, a sum of these (estimate, degrees of freedom).

    Parts left out count as known: the rows are many, and Wilson's form has its own correction where they are few.
    """
    below = sum(part * part / df for part, df in parts if df > 0 and part > 0.0)
    return max(1.0, total * total / below) if below > 0.0 else inf


def seed_parts(spread: Spread, *contenders: int) -> list[tuple[float, float]]:
    """The seeds' variances with their degrees of freedom, for `freedom_of`.

    By the book the weight of a component is that of the mean square it was taken from (`between`). Where rows explain
    most of it that is too heavy: coverage 98-99 %; the component alone (`seeds`) is too light: down to 91 %. The
    geometric mean of the two gave 92-98 % in simulation for scores and differences; 91 % where S is 3 and seeds outweigh
    rows.
    """
    return [(sqrt(float(spread.between[k] * spread.seeds[k])), float(spread.freedom[k])) for k in contenders]


def score_interval(
    metric: Metric,
    predicted: ArrayLike,
    labels: ArrayLike,
    num_classes: int,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    *,
    retrained: bool = True,
) -> Interval:
    """Interval of accuracy or macro-F1 (mean over seeds) from `predicted` [S, N] or [N] on `labels` [N].

    retrained=True: of the score that the same recipe, trained again, would have on new rows (rows and seeds; with
    S = 1 the seeds' part is unknown and the interval holds the rows' only: say so beside it). With S = 2 or 3 and seeds
    that differ more than rows do, it is wide, as it must be, and still covers some points less than its level.
    retrained=False: of the score of these very S models on new rows; this is what test sets drawn again from a full
    set, with the predictions as they are, should be held against. It is the narrower one.

    Form: Wilson's interval with the rows replaced by as many as would give the variance seen (effective sample size;
    Korn & Graubard 1998, Dean & Pavlou 2015 for surveys) and z by a Welch-Satterthwaite t quantile. For accuracy with
    one seed this is Wilson's interval itself. For macro-F1 the variance and the bias on N rows come from `resamples`
    bootstrap resamples (deterministic in `seed`); classes with one or two held-out rows make any such interval too
    narrow. Never of zero width. Raises DataError or UsageError for arrays, metric or level that cannot be.
    """
    return scored(spread_of(metric, [predicted], labels, num_classes, resamples, seed), 0, level, retrained=retrained)


def scored(spread: Spread, contender: int, level: float = 0.95, *, retrained: bool = True) -> Interval:
    """`score_interval` of one contender of a Spread that was measured for several."""
    value, rows = float(spread.value[contender]), spread.effective_rows
    seen = float(spread.rows[contender, contender])
    # design effect: below 1 where seeds err on different rows, above 1 where a rare class rules macro-F1
    effect = (rows * rows * seen + AGREED) / (rows * value * (1.0 - value) + AGREED)
    near = (rows * value + ADDED) / (rows + 2.0 * ADDED)
    by_rows = effect * near * (1.0 - near) / rows
    total, freedom = by_rows, inf
    if retrained:
        total += float(spread.seeds[contender])
        freedom = freedom_of(seed_parts(spread, contender), total)
    centre = float(np.clip(value - spread.bias[contender], 0.0, 1.0))
    low, high = wilson_bounds(centre, near * (1.0 - near) / total, quantile(level, freedom))
    return Interval(value, min(low, value), max(high, value))
