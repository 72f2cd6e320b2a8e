"""Several labels a row against several: F1 over labels and over decisions, and the rows that are wholly right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from maskfork.learn.data.labels import in_order, parts_of, spell
from maskfork.learn.score.scored import Scored, Sheet
from maskfork.measure.bootstrap import share
from maskfork.measure.metrics import FloatArray
from maskfork.measure.multilabel import counts_of, figure_of, label_f1


def score_several(truth: Sequence[Any], sides: Sequence[Sequence[Any]], separator: str, notes: list[str]) -> Scored:
    """Cells that hold labels with `separator` between them (`data.labels.separator_of`); an empty cell holds none.

    `sides` are one list of predictions, or two to be compared. The F1 of a label that is nowhere true or predicted counts 0.
    """
    parts = [[set() if cell is None else set(parts_of(cell, separator)) for cell in spell(list(one))] for one in (truth, *sides)]
    names = in_order(set().union(*(labels for one in parts for labels in one)))
    gold, *guesses = (np.array([[name in labels for name in names] for labels in one]) for one in parts)
    sheet = Sheet(paired=len(guesses) > 1)
    for name in ("macro", "micro"):
        counts = [counts_of(gold, guess) for guess in guesses]
        sheet.add_counts(f"{name}_f1", counts[0], counts[1] if len(counts) > 1 else None, figure_of(name))
    exact = [_mean((gold == guess).all(1)) for guess in guesses]
    sheet.add_counts("exact", exact[0], exact[1] if len(exact) > 1 else None, share)
    each = zip(names, label_f1(gold, guesses[0]).tolist(), gold.sum(0).tolist(), guesses[0].sum(0).tolist(), strict=True)
    table = {name: {"f1": f1, "gold": int(actual), "predicted": int(said)} for name, f1, actual, said in each}
    notes = [*notes, "Rows hold several labels: exact counts those whose labels are all right and none too many."]
    return sheet.done("classify", len(gold), "rows", notes, {"labels": table})


def _mean(values: np.ndarray) -> FloatArray:
    return np.stack([values, np.ones_like(values)], axis=1).astype(np.float64)
