"""How far a score would move: with other held-out rows, and with the contender trained again.

Both parts of STATISTICS' two sources of chance, as variances of the mean over seeds, for several contenders at once:

rows   the covariance [K, K] of the contenders' scores when rows are drawn again. All contenders see the same rows, so a
       difference has variance v_aa + v_bb - 2 v_ab: paired. Accuracy is a mean over rows, so what a bootstrap with
       infinitely many resamples would give is known exactly; macro-F1 is resampled.
seeds  the variance between seeds over S. The bootstrap that draws S seeds out of S is too narrow by (S - 1) / S
       (Davison & Hinkley 1997, section 2.1: its variance divides by S, not S - 1), and part of what differs between
       seeds on N rows is the rows again, already counted. So: the unbiased variance between seeds less the part that
       the rows explain, not below 0 (two-way random effects, Searle, Casella & McCulloch 1992, ch. 4; the double
       counting is Owen & Eckles 2012, "Bootstrapping data arrays of arbitrary order"). One seed shows none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from maskfork.errors import UsageError
from maskfork.measure.metrics import FloatArray, IntArray, as_classes, as_predicted, macro_f1
from maskfork.measure.resample import resampled_macro_f1

Metric = Literal["accuracy", "macro_f1"]


@dataclass(frozen=True)
class Spread:
    """K contenders on the same N rows: scores (mean over seeds) and where their uncertainty comes from."""

    value: FloatArray  # [K]
    bias: FloatArray  # [K] how far the score on N rows lies from that on endless rows (macro-F1 only), by bootstrap
    rows: FloatArray  # [K, K] covariance over held-out rows
    seeds: FloatArray  # [K] variance of the mean over S trainings; 0 with one seed, where nothing is known of it
    between: FloatArray  # [K] the same before the rows' part was taken off
    freedom: IntArray  # [K] S - 1
    effective_rows: float  # N for accuracy; for macro-F1 the rows that equal weights of classes amount to


def spread_of(
    metric: Metric, contenders: Sequence[ArrayLike], labels: ArrayLike, num_classes: int, resamples: int, seed: int
) -> Spread:
    """Spread of contenders' predictions [S_k, N] on `labels` [N]; DataError for shapes and classes that do not fit."""
    truth = as_classes(labels, "labels", num_classes)
    predicted = [as_predicted(p, truth, num_classes) for p in contenders]
    if metric == "accuracy":
        return _accuracy(predicted, truth)
    if metric == "macro_f1":
        return _macro_f1(predicted, truth, num_classes, resamples, seed)
    raise UsageError(f"There is no interval for {metric!r}; ask for 'accuracy' or 'macro_f1'.")


def _accuracy(predicted: list[IntArray], labels: IntArray) -> Spread:
    rows = labels.size
    row_mean = np.stack([(p == labels).mean(axis=0) for p in predicted])  # [K, N]
    value = row_mean.mean(axis=1)
    centred = row_mean - value[:, None]
    seed_parts = np.array([_accuracy_seeds(p == labels) for p in predicted])
    return Spread(
        value=value,
        bias=np.zeros_like(value),
        rows=centred @ centred.T / rows**2,
        seeds=seed_parts[:, 0],
        between=seed_parts[:, 1],
        freedom=np.array([p.shape[0] - 1 for p in predicted]),
        effective_rows=float(rows),
    )


def _accuracy_seeds(correct: np.ndarray) -> tuple[float, float]:
    seeds, rows = correct.shape
    if seeds == 1 or rows == 1:
        return 0.0, 0.0
    hit = correct.astype(np.float64)
    per_seed = hit.mean(axis=1)
    left = hit - hit.mean(axis=0) - per_seed[:, None] + hit.mean()
    noise = float((left**2).sum()) / ((rows - 1) * (seeds - 1) * rows)
    return _between(per_seed, noise)


def _between(per_seed: FloatArray, noise: float) -> tuple[float, float]:
    seen = float(per_seed.var(ddof=1))
    return max(0.0, seen - noise) / per_seed.size, seen / per_seed.size


def _macro_f1(predicted: list[IntArray], labels: IntArray, num_classes: int, resamples: int, seed: int) -> Spread:
    draws = resampled_macro_f1(predicted, labels, num_classes, resamples, seed)
    full = [np.array([macro_f1(labels, one, num_classes) for one in p]) for p in predicted]
    value = np.array([f.mean() for f in full])
    means = np.stack([d.mean(axis=0) for d in draws])  # [K, B]
    seed_parts = np.array([_resampled_seeds(f, d) for f, d in zip(full, draws, strict=True)])
    counts = np.bincount(labels, minlength=num_classes).astype(np.float64)
    present = counts[counts > 0]
    return Spread(
        value=value,
        bias=means.mean(axis=1) - value,
        rows=np.atleast_2d(np.cov(means)),
        seeds=seed_parts[:, 0],
        between=seed_parts[:, 1],
        freedom=np.array([p.shape[0] - 1 for p in predicted]),
        # an average over classes with equal weight varies as one row in each: sum of 1 / n_c over C^2
        effective_rows=float(present.size**2 / np.sum(1.0 / present)),
    )


def _resampled_seeds(full: FloatArray, draws: FloatArray) -> tuple[float, float]:
    if full.size == 1:
        return 0.0, 0.0
    noise = float((draws - full[:, None]).var(axis=0, ddof=1).mean())
    return _between(full, noise)
