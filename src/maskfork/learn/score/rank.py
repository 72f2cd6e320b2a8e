"""A TREC run against judgements (qrels)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.read import read_text
from maskfork.learn.score.scored import Scored, Sheet
from maskfork.measure.bootstrap import share
from maskfork.measure.metrics import FloatArray
from maskfork.measure.retrieval import DEFAULT, score_retrieval


def read_qrels(file: Path) -> dict[str, dict[str, int]]:
    """`query 0 document grade` a line. Raises DataError with the line."""
    judged: dict[str, dict[str, int]] = {}
    for number, cells in _lines(file, 4, "query 0 document grade"):
        try:
            judged.setdefault(cells[0], {})[cells[2]] = int(cells[3])
        except ValueError as error:
            raise DataError(f"{file.name}, line {number}: the grade {cells[3]!r} is no whole number: put it right.") from error
    return judged


def read_run(file: Path) -> dict[str, dict[str, float]]:
    """`query Q0 document rank score tag` a line. Raises DataError with the line."""
    run: dict[str, dict[str, float]] = {}
    for number, cells in _lines(file, 6, "query Q0 document rank score tag"):
        ranked = run.setdefault(cells[0], {})
        if cells[2] in ranked:
            raise DataError(f"{file.name}, line {number}: query {cells[0]} has document {cells[2]} twice: keep one.")
        try:
            ranked[cells[2]] = float(cells[4])
        except ValueError as error:
            raise DataError(f"{file.name}, line {number}: the score {cells[4]!r} is no number: put it right.") from error
    return run


def score_run(gold: Path, predictions: Path, against: Path | None = None, *, measures: Sequence[str] = DEFAULT) -> Scored:
    """trec_eval's measures over all judged queries (as with its -c); queries are drawn again. Raises DataError, UsageError."""
    judged = read_qrels(gold)
    files = [predictions, *([] if against is None else [against])]
    found = [score_retrieval(judged, read_run(file), measures) for file in files]
    notes = []
    for file, one in zip(files, found, strict=True):
        if one.unanswered:
            notes.append(f"{one.unanswered:,} judged queries have nothing in {file.name}: they count 0.")
        if one.unjudged:
            notes.append(f"{one.unjudged:,} queries of {file.name} are not judged and not counted.")
    if found[0].hopeless:
        notes.append(f"{found[0].hopeless:,} queries have no relevant document: they count 0, as with trec_eval.")
    sheet = Sheet(paired=against is not None)
    for column, name in enumerate(found[0].measures):
        sums = [_mean(one.values[:, column]) for one in found]
        sheet.add_counts(name, sums[0], sums[1] if against is not None else None, share)
    return sheet.done("rank", len(judged), "queries", notes)


def _mean(values: FloatArray) -> FloatArray:
    return np.stack([values, np.ones_like(values)], axis=1)


def _lines(file: Path, least: int, layout: str) -> list[tuple[int, list[str]]]:
    rows = [(number, line.split()) for number, line in enumerate(read_text(file).split("\n"), start=1) if line.strip()]
    short = next((number for number, cells in rows if len(cells) < least), None)
    if short is not None:
        raise DataError(f"{file.name}, line {short} has too few columns: a line is {layout}.")
    if not rows:
        raise DataError(f"{file.name} is empty: a line is {layout}.")
    return rows
