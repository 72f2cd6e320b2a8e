"""Scores of hard predictions: accuracy, macro-F1, Matthews correlation and the confusion matrix.

Labels and predictions are integers in `range(num_classes)`. The class set is given, never read off the data, so a class
that the held-out rows lack still counts in macro-F1 (as 0 when nobody predicts it either), exactly as
`sklearn.metrics.f1_score(labels=range(C), average="macro", zero_division=0)` counts it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskfork.errors import DataError

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


def as_classes(values: ArrayLike, name: str, num_classes: int | None = None) -> IntArray:
    """`values` as int64; DataError where they are not whole numbers or lie outside `range(num_classes)`."""
    array = np.asarray(values)
    if array.size == 0:
        raise DataError(f"{name} holds no rows; a score needs at least one.")
    if array.dtype.kind not in "iub":
        raise DataError(f"{name} must hold class numbers (integers), not {array.dtype}; take the argmax first.")
    array = array.astype(np.int64)
    if num_classes is not None and (array.min() < 0 or array.max() >= num_classes):
        raise DataError(
            f"{name} holds class numbers from {array.min()} to {array.max()}, outside 0..{num_classes - 1}; "
            "number labels and predictions over the same list of label names."
        )
    return array


def as_predicted(predicted: ArrayLike, labels: IntArray, num_classes: int | None = None) -> IntArray:
    """Predictions of S seeds as int64 [S, N]; one [N] becomes [1, N]. DataError where N is not that of `labels`."""
    array = np.atleast_2d(as_classes(predicted, "predicted", num_classes))
    if labels.ndim != 1 or array.ndim != 2 or array.shape[1] != labels.shape[0]:
        raise DataError(
            f"predicted has shape {array.shape} and labels {labels.shape}; "
            "predictions are [seeds, rows] over the very rows of labels [rows]."
        )
    return array


def accuracy(labels: ArrayLike, predicted: ArrayLike) -> float:
    """Share of rows where `predicted` [N] (or [S, N], averaged over seeds) equals `labels` [N]."""
    truth = as_classes(labels, "labels")
    return float(np.mean(as_predicted(predicted, truth) == truth))


def confusion(labels: ArrayLike, predicted: ArrayLike, num_classes: int) -> IntArray:
    """Counts [C, C]: row = true class, column = predicted class."""
    truth = as_classes(labels, "labels", num_classes)
    guess = as_predicted(predicted, truth, num_classes)
    if guess.shape[0] != 1:
        raise DataError(f"confusion counts one seed at a time, not {guess.shape[0]}; sum the matrices of several.")
    flat = np.bincount(truth * num_classes + guess[0], minlength=num_classes * num_classes)
    return flat.reshape(num_classes, num_classes).astype(np.int64)


def f1_from_counts(hits: FloatArray, predicted: FloatArray, actual: FloatArray) -> FloatArray:
    """Macro-F1 over the first axis [C, ...]: 2 hits / (predicted + actual), 0 for a class on neither side."""
    total = predicted + actual
    return np.asarray((2.0 * hits / np.maximum(total, 1.0)).mean(axis=0), dtype=np.float64)


def macro_f1(labels: ArrayLike, predicted: ArrayLike, num_classes: int) -> float:
    """Unweighted mean over all C classes of F1; `predicted` is [N], or [S, N] and then averaged over seeds."""
    truth = as_classes(labels, "labels", num_classes)
    guesses = as_predicted(predicted, truth, num_classes)
    return float(np.mean([_f1(confusion(truth, guess, num_classes)) for guess in guesses]))


def _f1(counts: IntArray) -> float:
    matrix = counts.astype(np.float64)
    return float(f1_from_counts(np.diag(matrix), matrix.sum(axis=0), matrix.sum(axis=1)))


def matthews(labels: ArrayLike, predicted: ArrayLike, num_classes: int) -> float:
    """Matthews correlation for C classes (Gorodkin 2004, R_K); 0 where labels or predictions hold one class only."""
    matrix = confusion(labels, predicted, num_classes).astype(np.float64)
    actual, guessed, rows = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    covariance = np.trace(matrix) * rows - actual @ guessed
    spread = (rows**2 - actual @ actual) * (rows**2 - guessed @ guessed)
    return float(covariance / np.sqrt(spread)) if spread > 0 else 0.0
