"""Several labels a row: F1 over labels and over decisions, with intervals that pair over rows.

Truth and predictions are booleans [N, L]. The F1 of a label that is neither true nor predicted anywhere counts 0, as in
`sklearn.metrics.f1_score(average="macro", zero_division=0)`.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskfork.errors import DataError
from maskfork.measure.bootstrap import Figure, bootstrap_difference, bootstrap_interval
from maskfork.measure.intervals import Interval
from maskfork.measure.metrics import FloatArray, f1_from_counts

Average = Literal["macro", "micro"]
Marks = NDArray[np.bool_]


def multilabel_f1(truth: ArrayLike, predicted: ArrayLike, average: Average) -> float:
    """F1 of predictions [N, L], averaged over labels (macro) or over all decisions together (micro)."""
    return float(figure_of(average)(counts_of(truth, predicted).sum(0)[:, None])[0])


def jaccard(one: Set[object], two: Set[object]) -> float:
    """Size of the intersection over size of the union; two empty sets are equal."""
    union = len(one | two)
    return len(one & two) / union if union else 1.0


def label_f1(truth: ArrayLike, predicted: ArrayLike) -> FloatArray:
    """F1 of each label, [L]."""
    hits, said, actual = np.split(counts_of(truth, predicted).sum(0), 3)
    return np.asarray(2.0 * hits / np.maximum(said + actual, 1.0), dtype=np.float64)


def f1_interval(truth: ArrayLike, predicted: ArrayLike, average: Average, resamples: int = 1000, seed: int = 0) -> Interval:
    """Interval of these very predictions' F1 on new rows, by a bootstrap over rows."""
    return bootstrap_interval(counts_of(truth, predicted), figure_of(average), resamples=resamples, seed=seed)


def f1_difference(
    truth: ArrayLike, a: ArrayLike, b: ArrayLike, average: Average, resamples: int = 1000, seed: int = 0
) -> Interval:
    """Interval of F1(a) - F1(b) on the same rows, over the same resamples."""
    return bootstrap_difference(counts_of(truth, a), counts_of(truth, b), figure_of(average), resamples=resamples, seed=seed)


def counts_of(truth: ArrayLike, predicted: ArrayLike) -> FloatArray:
    """What F1 is made of, [N, 3 L]: of each row and label whether it is a hit, whether it is predicted, whether it is true."""
    gold, guess = _marks(truth, predicted)
    return np.concatenate([gold & guess, guess, gold], axis=1).astype(np.float64)


def figure_of(average: Average) -> Figure:
    """Sums [3 L, B] -> F1 [B]."""

    def f1(sums: FloatArray) -> FloatArray:
        hits, said, actual = np.split(sums, 3)
        if average == "micro":
            hits, said, actual = (part.sum(0, keepdims=True) for part in (hits, said, actual))
        return f1_from_counts(hits, said, actual)

    return f1


def _marks(truth: ArrayLike, predicted: ArrayLike) -> tuple[Marks, Marks]:
    gold, guess = np.asarray(truth, dtype=np.bool_), np.asarray(predicted, dtype=np.bool_)
    if gold.ndim != 2 or gold.shape != guess.shape or not gold.size:
        raise DataError(f"Labels and predictions are [rows, labels] of the same rows, not {gold.shape} and {guess.shape}.")
    return gold, guess
