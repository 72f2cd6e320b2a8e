"""From how many labels on is the fine-tuned encoder ahead of the prompted decoder?

The paired difference of accuracy at each label budget, made monotone (isotonic regression over log budget, weighted by
how sure each is: more labels do not make an encoder worse, so a dip is chance), crosses 0 somewhere. Between measured
budgets the place is interpolated on the log scale: "about 140 labels" is worth more than "somewhere in 64..512", and
the interval says how sure it is. The interval is a bootstrap: the same rows for all budgets and both sides, and draws (a
seed and its nested sample of labels) that move all budgets of a side together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskfork.errors import DataError
from maskfork.measure.intervals import quantile
from maskfork.measure.metrics import FloatArray, IntArray, as_classes, as_predicted
from maskfork.measure.resample import row_weights
from maskfork.measure.spread import spread_of


@dataclass(frozen=True)
class Crossover:
    """Where the encoder overtakes the decoder.

    budget      labels from which the monotone curve is above 0; None where it is not ahead at any budget measured, or
                is ahead at all of them (`sentence` says which)
    ci          bounds of the budget; a None below means "at or before the smallest budget", above "beyond the largest"
    difference  the monotone curve [budgets], encoder less decoder
    observed    the differences as they were [budgets]
    share       share of resamples with a crossing after the smallest and not beyond the largest budget
    sentence    the answer in words
    """

    budget: float | None
    ci: tuple[float | None, float | None]
    difference: tuple[float, ...]
    observed: tuple[float, ...]
    share: float
    sentence: str


def isotonic(values: ArrayLike, weights: ArrayLike) -> FloatArray:
    """The non-decreasing sequences nearest to the rows of `values` [..., K] in least squares with `weights` [K].

    The min-max formula of isotonic regression (Robertson, Wright & Dykstra 1988, theorem 1.4.4), for all rows at once:
    fit_k = max over i <= k of min over j >= k of the mean of i..j.
    """
    y, w = np.asarray(values, dtype=np.float64), np.asarray(weights, dtype=np.float64)
    count = y.shape[-1]
    if count == 0 or w.shape != (count,) or not (w > 0.0).all():
        raise DataError("Isotonic regression needs values and as many weights above 0.")
    sums = np.concatenate([np.zeros((*y.shape[:-1], 1)), np.cumsum(y * w, axis=-1)], axis=-1)
    mass = np.concatenate([[0.0], np.cumsum(w)])
    fit = np.empty_like(y)
    for k in range(count):
        means = [
            np.stack([(sums[..., j + 1] - sums[..., i]) / (mass[j + 1] - mass[i]) for j in range(k, count)]).min(axis=0)
            for i in range(k + 1)
        ]
        fit[..., k] = np.stack(means).max(axis=0)
    return fit


def crossing(curve: ArrayLike, budgets: ArrayLike) -> FloatArray:
    """Budget at which non-decreasing curves [..., K] rise above 0; -inf: above from the first; inf: never above."""
    y, x = np.asarray(curve, dtype=np.float64), np.log(np.asarray(budgets, dtype=np.float64))
    above = y > 0.0
    after = np.argmax(above, axis=-1)  # first index above 0 (0 also where there is none)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(y, k[..., None], axis=-1)[..., 0] for k in (before, after))
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(high > low, -low / (high - low), 0.0)
    found = np.exp(x[before] + part * (x[after] - x[before]))
    found = np.where(above[..., 0], -np.inf, found)
    return np.where(above.any(axis=-1), found, np.inf)


def crossover(
    budgets: Sequence[int],
    encoder: Sequence[ArrayLike],
    decoder: Sequence[ArrayLike] | NDArray[Any],
    labels: ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Crossover:
    """The crossover of `encoder` (predictions [S, N] per budget) over `decoder` on `labels` [N].

    `budgets`: K label counts above 0, increasing ("all" as its number). `decoder`: one array [S, N] or [N] for all
    budgets, or a list of K arrays. Draw s of one budget belongs with draw s of the others (nested samples). With one draw the
    interval holds the chance of rows only. DataError for budgets, shapes and classes that do not fit.
    """
    counts = np.asarray(budgets)
    if counts.ndim != 1 or counts.size == 0 or counts.min() < 1 or (np.diff(counts) <= 0).any():
        raise DataError(f"A crossover needs label budgets above 0 in increasing order, not {list(budgets)}.")
    truth = as_classes(labels, "labels")
    ours = [as_predicted(p, truth) for p in encoder]
    theirs = [as_predicted(p, truth) for p in ([decoder] if isinstance(decoder, np.ndarray) else decoder)]
    if len(ours) != counts.size or len(theirs) not in (1, counts.size):
        raise DataError(
            f"{counts.size} budgets need as many encoder results, not {len(ours)}, and one decoder result or as many, "
            f"not {len(theirs)}."
        )
    both, column = [*ours, *theirs], np.arange(counts.size) if len(theirs) > 1 else np.zeros(counts.size, dtype=int)
    classes = 1 + int(max(truth.max(), *(p.max() for p in both)))
    spread = spread_of("accuracy", both, truth, classes, 2, 0)
    k = counts.size
    observed = spread.value[:k] - spread.value[k + column]
    pair = np.diag(spread.rows)[:k] + np.diag(spread.rows)[k + column] - 2.0 * spread.rows[np.arange(k), k + column]
    # one discordant row each way, so that a budget without any does not get endless weight
    variance = pair + 2.0 / truth.size**2 + spread.seeds[:k] + spread.seeds[k + column]
    curve = isotonic(observed, 1.0 / variance)

    rng = np.random.default_rng([seed, 1])
    shifts = np.concatenate(
        [_draw_shifts(side, truth, s, resamples, rng) for side, s in ((ours, spread.seeds[:k]), (theirs, spread.seeds[k:]))]
    )
    right = np.stack([(p == truth).mean(axis=0) for p in both]).astype(np.float32)
    scores = np.concatenate([right @ w for w in row_weights(truth.size, resamples, seed)], axis=1) / truth.size + shifts
    found = crossing(isotonic((scores[:k] - scores[k + column]).T, 1.0 / variance), counts)
    tail = (1.0 - level) / 2.0
    quantile(level)  # refuses a level outside (0, 1)
    # whole order statistics: the ends may be infinite, and between infinite and finite there is no mean
    low, high = np.quantile(found, tail, method="lower"), np.quantile(found, 1.0 - tail, method="higher")
    ci = (None if low == -np.inf else _capped(low, counts), None if high == np.inf else _capped(high, counts))
    at = float(crossing(curve, counts))
    return Crossover(
        budget=at if np.isfinite(at) else None,
        ci=ci,
        difference=tuple(curve.tolist()),
        observed=tuple(observed.tolist()),
        share=float(np.isfinite(found).mean()),
        sentence=_words(at, ci, counts),
    )


def _capped(bound: float, counts: IntArray) -> float:
    """-inf and inf as the nearest measured budget: the other bound says the rest."""
    return float(np.clip(bound, counts[0], counts[-1]))


def _draw_shifts(
    side: list[IntArray], labels: IntArray, seeds: FloatArray, resamples: int, rng: np.random.Generator
) -> FloatArray:
    """What other draws would have added to the mean accuracy of each budget: [len(side), B].

    Each draw's distance from the mean gets a normal weight (a wild bootstrap, so that three draws give more than a few
    values), the same for all budgets. Scaled to the unbiased variance of the mean that is the seeds' own, and spread as
    t with S - 1 degrees of freedom, for the variance is known from S draws only.
    """
    most = max(p.shape[0] for p in side)
    weights = rng.standard_normal((most, resamples))
    shifts = np.zeros((len(side), resamples))
    for row, (predicted, variance) in enumerate(zip(side, seeds, strict=True)):
        draws = predicted.shape[0]
        if variance > 0.0:
            apart = (predicted == labels).mean(axis=1)
            apart = apart - apart.mean()
            shifts[row] = np.sqrt(variance) * (apart / np.linalg.norm(apart)) @ weights[:draws]
    if most > 1:
        shifts /= np.sqrt(rng.chisquare(most - 1, resamples) / (most - 1))
    return shifts


def _words(at: float, ci: tuple[float | None, float | None], counts: IntArray) -> str:
    first, last = int(counts[0]), int(counts[-1])
    low = f"at or before {first}" if ci[0] is None else f"{ci[0]:.0f}"
    high = f"beyond {last}" if ci[1] is None else f"{ci[1]:.0f}"
    span = f"(interval: {low} to {high})"
    if at == -np.inf:
        return f"The encoder is ahead from the smallest budget, {first} labels {span}."
    if at == np.inf:
        return f"The crossover is not within the budgets: at {last} labels the encoder is not ahead yet {span}."
    return f"The encoder is ahead from about {at:.0f} labels on {span}."
