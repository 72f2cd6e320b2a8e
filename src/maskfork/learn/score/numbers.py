"""Numbers against numbers: correlations for similarity, errors for regression."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from maskfork.errors import DataError
from maskfork.learn.score.reading import as_numbers, joined
from maskfork.learn.score.scored import RANDOMISATION, Scored, Sheet
from maskfork.measure.bootstrap import bootstrap_difference, share
from maskfork.measure.correlation import pearson, spearman, spearman_difference
from maskfork.measure.metrics import FloatArray
from maskfork.measure.randomisation import swapped_counts_p, swapped_values_p


def score_numbers(
    task: Literal["similarity", "regression"],
    gold: Path,
    predictions: Path,
    against: Path | None = None,
    *,
    column: str | None = None,
    predicted: str | None = None,
) -> Scored:
    """Lines of numbers, or tables with a column of them.

    Both: Pearson's r and Spearman's rho with Fisher's intervals; regression also mean squared and absolute error and R2, whose
    rows are drawn again. Raises DataError.
    """
    notes: list[str] = []
    values, first = joined(gold, column, predictions, predicted, notes)
    truth = np.array(as_numbers(values, gold.name))
    a = np.array(as_numbers(first, predictions.name))
    if len(truth) < 4:
        raise DataError(f"{gold.name} has {len(truth)} rows: a correlation needs four or more.")
    b = None if against is None else np.array(as_numbers(joined(gold, column, against, predicted, notes)[1], against.name))
    sheet = Sheet(paired=against is not None)
    if task == "regression":
        for name, figure in (("mse", share), ("mae", share), ("r2", _r2)):
            sides = [_sums(name, truth, side) for side in (a, *(() if b is None else (b,)))]
            sheet.add_counts(name, sides[0], sides[1] if b is not None else None, figure, bounded=False)
    if b is None:
        sheet.add("pearson", pearson(a, truth), None, None, 1.0, "")
        sheet.add("spearman", spearman(a, truth), None, None, 1.0, "")
    else:
        sums, others = _moments(a, truth), _moments(b, truth)
        apart, p = bootstrap_difference(sums, others, _pearson), swapped_counts_p(sums, others, _pearson)
        sheet.add("pearson", pearson(a, truth), pearson(b, truth), apart, p, RANDOMISATION)
        p = swapped_values_p(a, b, lambda side: spearman(side, truth).value)
        sheet.add("spearman", spearman(a, truth), spearman(b, truth), spearman_difference(a, b, truth), p, RANDOMISATION)
    return sheet.done(task, len(truth), "rows", notes)


def _sums(name: str, truth: FloatArray, guess: FloatArray) -> FloatArray:
    off = np.abs(guess - truth) if name == "mae" else (guess - truth) ** 2
    ones = np.ones_like(truth)
    centred = truth - truth.mean()  # the same R2, without cancelling in large numbers
    return np.stack([off, ones, *([centred, centred**2] if name == "r2" else [])], axis=1)


def _r2(sums: FloatArray) -> FloatArray:
    off, rows, total, squares = sums
    spread = squares - total**2 / np.maximum(rows, 1.0)
    return np.asarray(1.0 - off / np.where(spread > 0, spread, np.inf))


def _moments(guess: FloatArray, truth: FloatArray) -> FloatArray:
    x, y = (side - np.mean(side) for side in (guess, truth))
    return np.stack([np.ones_like(x), x, y, x * x, y * y, x * y], axis=1)


def _pearson(sums: ArrayLike) -> FloatArray:
    rows, x, y, xx, yy, xy = np.asarray(sums, dtype=np.float64)
    rows = np.maximum(rows, 1.0)
    spread = (xx - x * x / rows) * (yy - y * y / rows)
    return np.asarray((xy - x * y / rows) / np.sqrt(np.where(spread > 0, spread, np.inf)))
