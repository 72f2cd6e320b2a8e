"""Are the probabilities worth their name? ECE with its interval, Brier, log loss, reliability points, temperature."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize
from scipy.special import log_softmax, softmax

from maskfork.errors import DataError
from maskfork.measure.intervals import Interval, quantile
from maskfork.measure.metrics import FloatArray, IntArray, as_classes
from maskfork.measure.resample import row_weights

SMALLEST_PROBABILITY = 1e-12  # a true label given less than this costs log(1e12) = 27.6 nats, not infinity
_TEMPERATURES = (0.02, 50.0)


@dataclass(frozen=True)
class ReliabilityPoints:
    """One entry per non-empty bin of equal mass: mean confidence, accuracy, rows. Arrays [bins]."""

    confidence: FloatArray
    accuracy: FloatArray
    rows: IntArray


def _finite(values: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, IntArray]:
    scores = np.asarray(values, dtype=np.float64)
    if scores.ndim != 2 or not np.isfinite(scores).all():
        raise DataError(f"Scores must be finite numbers [rows, classes], not shape {scores.shape} or NaN.")
    truth = as_classes(labels, "labels", scores.shape[1])
    if truth.shape != (scores.shape[0],):
        raise DataError(f"{scores.shape[0]} rows of scores and labels of shape {truth.shape} are not the same rows.")
    return scores, truth


def _are_probabilities(scores: FloatArray) -> bool:
    return bool(scores.min() >= 0.0 and np.abs(scores.sum(axis=1) - 1.0).max() < 1e-3)


def _probabilities(probs: ArrayLike, labels: ArrayLike) -> tuple[FloatArray, IntArray]:
    values, truth = _finite(probs, labels)
    if not _are_probabilities(values):
        raise DataError("Probabilities of each row must lie in 0..1 and sum to 1; apply softmax to scores first.")
    return values, truth


def _bins(confidence: FloatArray, bins: int) -> IntArray:
    """Bin number [N] of each row: bins of equal mass; rows of equal confidence share a bin, the later one's."""
    if bins < 1:
        raise DataError(f"ECE needs at least one bin, not {bins}.")
    order = np.argsort(confidence, kind="stable")
    ranked = np.empty(confidence.size, dtype=np.int64)
    ranked[order] = np.arange(confidence.size)
    # ties would otherwise fall into bins by their order in the file
    _, group = np.unique(confidence, return_inverse=True)
    last = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(last, group, ranked)
    return np.asarray(last[group] * bins // confidence.size, dtype=np.int64)


def reliability_points(probs: ArrayLike, labels: ArrayLike, bins: int = 15) -> ReliabilityPoints:
    """Confidence of the top class against accuracy, in bins of equal mass, from `probs` [N, C]; empty bins left out."""
    values, truth = _probabilities(probs, labels)
    confidence, right = values.max(axis=1), values.argmax(axis=1) == truth
    number = _bins(confidence, bins)
    rows = np.bincount(number, minlength=bins)
    kept = rows > 0
    return ReliabilityPoints(
        confidence=np.bincount(number, confidence, bins)[kept] / rows[kept],
        accuracy=np.bincount(number, right, bins)[kept] / rows[kept],
        rows=rows[kept].astype(np.int64),
    )


def ece(probs: ArrayLike, labels: ArrayLike, bins: int = 15) -> float:
    """Expected calibration error of the top class, bins of equal mass: sum of |accuracy - confidence| by share of rows.

    Equal mass, for bins of equal width leave most of them empty where models are sure (Nixon et al. 2019). The figure
    is biased upwards: a perfect model shows some ECE on few rows; `ece_interval` takes that off.
    """
    points = reliability_points(probs, labels, bins)
    return float(np.abs(points.accuracy - points.confidence) @ points.rows / points.rows.sum())


def ece_interval(
    probs: ArrayLike, labels: ArrayLike, bins: int = 15, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> Interval:
    """ECE with an interval from a bootstrap over rows; bins stay where the rows seen put them.

    ECE rises under resampling as it does under sampling, so the bounds are moved down by the rise seen (the bias
    correction of Efron & Tibshirani 1993, section 10.6) and cut at 0; the plain value stays the value. That is not
    enough near 0, where all of the value may be such rise: the lower bound is 0 wherever a perfectly calibrated model
    with these confidences would show as much (consistency resampling, Bröcker & Smith 2007, normal in each bin).
    """
    values, truth = _probabilities(probs, labels)
    confidence, right = values.max(axis=1), values.argmax(axis=1) == truth
    number = _bins(confidence, bins)
    member = np.zeros((bins, confidence.size), dtype=np.float32)
    member[number, np.arange(confidence.size)] = right - confidence  # a bin's part is |sum of gaps| / N
    value = float(np.abs(member.sum(axis=1, dtype=np.float64)).sum() / confidence.size)
    draws = np.concatenate([np.abs(member @ w).sum(axis=0) for w in row_weights(confidence.size, resamples, seed)])
    draws = draws.astype(np.float64) / confidence.size
    centre = max(0.0, value - (float(draws.mean()) - value))
    half = quantile(level) * float(draws.std(ddof=1))
    noise = np.sqrt(np.bincount(number, confidence * (1.0 - confidence), bins))
    chance = np.abs(np.random.default_rng(seed).standard_normal((resamples, bins)) * noise).sum(axis=1)
    by_chance = float(np.quantile(chance, (1.0 + level) / 2.0)) / confidence.size
    low = 0.0 if value <= by_chance else min(value, max(0.0, centre - half))
    return Interval(value, low, max(value, min(1.0, centre + half)))


def brier(probs: ArrayLike, labels: ArrayLike) -> float:
    """Brier's score (1950): squared distance of `probs` [N, C] from the one-hot truth, summed over classes, 0..2."""
    values, truth = _probabilities(probs, labels)
    return float(np.mean(((values - np.eye(values.shape[1])[truth]) ** 2).sum(axis=1)))


def nll(probs: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative log-likelihood of the truth, nats per row; a probability below 1e-12 counts as 1e-12."""
    values, truth = _probabilities(probs, labels)
    given = values[np.arange(truth.size), truth]
    return float(-np.log(np.clip(given, SMALLEST_PROBABILITY, 1.0)).mean())


def _logits(probs_or_logits: FloatArray) -> FloatArray:
    if _are_probabilities(probs_or_logits):
        return np.log(np.clip(probs_or_logits, SMALLEST_PROBABILITY, 1.0))
    return probs_or_logits


def fit_temperature(probs_or_logits: ArrayLike, labels: ArrayLike) -> float:
    """The temperature that minimises log loss on validation rows (Guo et al. 2017, section 4.2), within 0.02..50.

    Takes logits [N, C] or probabilities (rows that are non-negative and sum to 1 are read as probabilities; their log
    differs from the logits by a constant a row, which softmax ignores). Never fit it on held-out rows. A model that is
    right on every row would have the temperature go to 0; the lower bound then is the answer.
    """
    scores, truth = _finite(probs_or_logits, labels)
    logits = _logits(scores)
    rows = np.arange(truth.size)

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits * exp(-log_temperature), axis=1)[rows, truth].mean())

    # the loss is convex in 1 / T, so it has one valley in log T too
    low, high = (log(t) for t in _TEMPERATURES)
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return exp(min((low, high, float(found.x)), key=loss))


def tempered_likelihood(logits: ArrayLike, labels: ArrayLike) -> float:
    """Mean log likelihood of labels [N] by logits [N, C] at the temperature that fits them best: what they can tell apart, not
    how sure they are of it. 0 is the most."""
    return -nll(apply_temperature(logits, fit_temperature(logits, labels)), labels)


def apply_temperature(probs_or_logits: ArrayLike, temperature: float) -> FloatArray:
    """Probabilities [N, C] of scores divided by `temperature`; the top class of a row never changes."""
    if not temperature > 0.0:
        raise DataError(f"A temperature is above 0; {temperature} is not.")
    scores = np.asarray(probs_or_logits, dtype=np.float64)
    if scores.ndim != 2 or scores.size == 0 or not np.isfinite(scores).all():
        raise DataError(f"Scores must be finite numbers [rows, classes], not shape {scores.shape} or NaN.")
    return np.asarray(softmax(_logits(scores) / temperature, axis=1), dtype=np.float64)
