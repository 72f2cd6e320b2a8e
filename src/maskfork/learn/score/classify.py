"""Labels against labels: accuracy, macro-F1, Matthews correlation."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from maskfork.learn.data.labels import in_order, separator_of, spell
from maskfork.learn.score.reading import as_labels, joined
from maskfork.learn.score.scored import MCNEMAR, RANDOMISATION, Scored, Sheet
from maskfork.learn.score.several import score_several
from maskfork.measure.bootstrap import bootstrap_difference, bootstrap_interval
from maskfork.measure.intervals import score_interval
from maskfork.measure.metrics import FloatArray, IntArray, confusion, f1_from_counts
from maskfork.measure.paired import difference_interval, mcnemar_exact
from maskfork.measure.randomisation import swapped_counts_p


def score_labels(
    gold: Path, predictions: Path, against: Path | None = None, *, column: str | None = None, predicted: str | None = None
) -> Scored:
    """Files of label lines, or tables with a column of labels. The labels are those that any of the files names.

    Where the gold cells hold several labels, `score_several` does it.
    Accuracy's interval is Wilson's and its test McNemar's exact one. Raises DataError.
    """
    notes: list[str] = []
    files = [predictions, *([] if against is None else [against])]
    pairs = [joined(gold, column, file, predicted, notes) for file in files]
    truth, said = pairs[0][0], [guess for _, guess in pairs]
    separator = separator_of(label for label in spell(list(truth)) if label is not None)
    if separator is not None:
        return score_several(truth, said, separator, notes)
    sides = [as_labels(guess, file.name) for guess, file in zip(said, files, strict=True)]
    wanted = as_labels(truth, gold.name)
    names = in_order({*wanted, *(label for side in sides for label in side)})
    index = {name: i for i, name in enumerate(names)}
    labels, *guesses = (np.array([index[label] for label in side], dtype=np.int64) for side in (wanted, *sides))
    unseen = sorted(set(sides[0]) - set(wanted))
    if unseen:
        notes.append(f"{len(unseen)} predicted labels are not in {gold.name} (such as {unseen[0]!r}): they count as wrong.")
    sheet = Sheet(paired=against is not None)
    a, b = guesses[0], guesses[-1]
    classes = len(names)
    for name in ("accuracy", "macro_f1"):
        one, two = (score_interval(name, side, labels, classes, retrained=False) for side in (a, b))
        apart = difference_interval(a, b, labels, name, classes, retrained=False)
        if name == "accuracy":
            sheet.add(name, one, two, apart, mcnemar_exact(a == labels, b == labels), MCNEMAR)
        else:
            counts = [_counts(side, labels, classes) for side in (a, b)]
            p = swapped_counts_p(counts[0], counts[1], partial(_macro_f1, classes)) if against is not None else 1.0
            sheet.add(name, one, two, apart, p, RANDOMISATION)
    mcc = partial(_matthews, classes)
    one, two = (bootstrap_interval(_counts(side, labels, classes), mcc, bounded=False) for side in (a, b))
    apart = bootstrap_difference(_counts(a, labels, classes), _counts(b, labels, classes), mcc)
    p = swapped_counts_p(_counts(a, labels, classes), _counts(b, labels, classes), mcc) if against is not None else 1.0
    sheet.add("mcc", one, two, apart, p, RANDOMISATION)
    matrix = confusion(labels, a, classes)
    return sheet.done("classify", len(labels), "rows", notes, {"labels": _by_label(matrix, names), "confusion": matrix.tolist()})


def _counts(guess: IntArray, labels: IntArray, classes: int) -> FloatArray:
    """[N, 3 C]: hits, guesses and truths of each class, one row each."""
    rows = np.arange(len(labels))
    found = np.zeros((len(labels), 3 * classes))
    found[rows[guess == labels], labels[guess == labels]] = 1.0
    found[rows, classes + guess] = 1.0
    found[rows, 2 * classes + labels] = 1.0
    return found


def _macro_f1(classes: int, sums: FloatArray) -> FloatArray:
    return f1_from_counts(sums[:classes], sums[classes : 2 * classes], sums[2 * classes :])


def _matthews(classes: int, sums: FloatArray) -> FloatArray:
    """Gorodkin's R_K from sums [3 C, B]; 0 where one side holds one class."""
    guessed, actual = sums[classes : 2 * classes], sums[2 * classes :]
    rows = actual.sum(axis=0)
    covariance = sums[:classes].sum(axis=0) * rows - (guessed * actual).sum(axis=0)
    spread = (rows**2 - (actual**2).sum(axis=0)) * (rows**2 - (guessed**2).sum(axis=0))
    return np.asarray(covariance / np.sqrt(np.where(spread > 0, spread, np.inf)))


def _by_label(matrix: IntArray, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    hits, guessed, actual = (np.asarray(side, dtype=np.float64) for side in (np.diag(matrix), matrix.sum(0), matrix.sum(1)))
    f1 = 2 * hits / np.maximum(guessed + actual, 1)
    return {
        name: {
            "precision": float(hits[i] / max(guessed[i], 1)),
            "recall": float(hits[i] / max(actual[i], 1)),
            "f1": float(f1[i]),
            "gold": int(actual[i]),
            "predicted": int(guessed[i]),
        }
        for i, name in enumerate(names)
    }
