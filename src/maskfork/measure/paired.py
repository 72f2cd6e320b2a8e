"""Is one contender better than another? Paired intervals, exact McNemar, Holm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import inf, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from maskfork.errors import DataError, UsageError
from maskfork.measure.intervals import ADDED, AGREED, Interval, freedom_of, quantile, seed_parts
from maskfork.measure.metrics import FloatArray, as_classes, as_predicted
from maskfork.measure.spread import Metric, Spread, spread_of


@dataclass(frozen=True)
class Pair:
    """Contenders number `a` and `b`: score of a less score of b, and p-values of their first seeds' predictions."""

    a: int
    b: int
    difference: Interval
    mcnemar_p: float  # exact, first seed of a against first seed of b
    holm_p: float  # the same, adjusted over the pairs that were asked for


def difference_interval(
    predicted_a: ArrayLike,
    predicted_b: ArrayLike,
    labels: ArrayLike,
    metric: Metric = "accuracy",
    num_classes: int | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    *,
    retrained: bool = True,
) -> Interval:
    """Interval of score(a) - score(b), predictions [S_a, N] and [S_b, N] (or [N]) on the same rows.

    Paired over rows: the variance is that of the difference when both are scored on the same rows drawn again (known in
    closed form for accuracy, the limit of endless bootstrap resamples; from `resamples` shared resamples for macro-F1).
    Seeds of a and of b count as drawn apart, so S_a and S_b may differ. Student's t with Welch-Satterthwaite degrees
    of freedom; for one seed and accuracy it is Bonett & Price's interval (2012). `retrained` as in `score_interval`.
    `num_classes` may be left out for accuracy. DataError or UsageError for arrays, metric or level that cannot be.
    """
    if num_classes is None:
        if metric != "accuracy":
            raise UsageError(f"{metric} needs num_classes, for a class may be missing from the held-out rows.")
        num_classes = 1 + max(int(np.max(as_classes(v, "classes"))) for v in (predicted_a, predicted_b, labels))
    spread = spread_of(metric, [predicted_a, predicted_b], labels, num_classes, resamples, seed)
    return differed(spread, 0, 1, level, retrained=retrained)


def differed(spread: Spread, a: int, b: int, level: float = 0.95, *, retrained: bool = True) -> Interval:
    """`difference_interval` of two contenders of a Spread that was measured for several."""
    value = float(spread.value[a] - spread.value[b])
    seen = max(0.0, float(spread.rows[a, a] + spread.rows[b, b] - 2.0 * spread.rows[a, b]))
    rows = spread.effective_rows
    # One row that only a gets right and one that only b does (Bonett & Price 2012): two that agree on all rows seen are
    # not proved equal on all others. Where seeds err on different rows, an added row weighs as little as a seen one.
    a_alone, b_alone = float(spread.value[a]), float(spread.value[b])
    discordant = rows * (a_alone + b_alone - 2.0 * a_alone * b_alone) - 2.0 * rows * rows * float(spread.rows[a, b])
    effect = min(1.0, (rows * rows * seen + AGREED) / (max(0.0, discordant) + AGREED))
    by_rows = (rows * rows * seen + ADDED * effect) / (rows + ADDED) ** 2
    total, freedom = by_rows, inf
    if retrained:
        total += float(spread.seeds[a] + spread.seeds[b])
        freedom = freedom_of(seed_parts(spread, a, b), total)
    centre = (value - float(spread.bias[a] - spread.bias[b])) * rows / (rows + ADDED)
    half = quantile(level, freedom) * sqrt(total)
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    return Interval(value, min(low, value), max(high, value))


def all_pairs(
    contenders: Sequence[ArrayLike],
    labels: ArrayLike,
    metric: Metric,
    num_classes: int,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    *,
    pairs: Sequence[tuple[int, int]] | None = None,
    retrained: bool = True,
) -> list[Pair]:
    """Every pair of contenders (each [S_k, N]), or those named in `pairs`, over one shared set of resamples.

    Holm's correction is over exactly the pairs returned, so ask for those that will be printed.
    """
    truth = as_classes(labels, "labels", num_classes)
    spread = spread_of(metric, contenders, truth, num_classes, resamples, seed)
    wanted = list(combinations(range(len(contenders)), 2)) if pairs is None else list(pairs)
    first = [as_predicted(p, truth)[0] == truth for p in contenders]
    raw = [mcnemar_exact(first[a], first[b]) for a, b in wanted]
    return [
        Pair(a, b, differed(spread, a, b, level, retrained=retrained), p, adjusted)
        for (a, b), p, adjusted in zip(wanted, raw, holm(raw).tolist(), strict=True)
    ]


def mcnemar_exact(correct_a: ArrayLike, correct_b: ArrayLike) -> float:
    """Two-sided exact McNemar p (binomial on the discordant rows) of two [N] arrays of right/wrong; 1.0 without any."""
    a, b = np.asarray(correct_a, dtype=np.bool_), np.asarray(correct_b, dtype=np.bool_)
    if a.ndim != 1 or a.shape != b.shape:
        raise DataError(f"McNemar compares one run with one run on the same rows, not shapes {a.shape} and {b.shape}.")
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    return float(min(1.0, 2.0 * stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))


def holm(ps: ArrayLike) -> FloatArray:
    """Holm's step-down adjusted p-values (1979), in the order given; DataError for values outside 0..1."""
    raw = np.asarray(ps, dtype=np.float64).ravel()
    if raw.size and not (raw.min() >= 0.0 and raw.max() <= 1.0):
        raise DataError("p-values lie between 0 and 1; Holm's correction was given others.")
    order = np.argsort(raw, kind="stable")
    stepped = np.maximum.accumulate(raw[order] * np.arange(raw.size, 0, -1))
    adjusted = np.empty_like(raw)
    adjusted[order] = np.minimum(1.0, stepped)
    return adjusted
