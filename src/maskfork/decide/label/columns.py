"""What a teacher says as columns beside those that the rows came with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from maskfork.learn.data.names import listed
from maskfork.learn.data.nested import values
from maskfork.learn.data.table import series
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.outcome import Answers
from maskfork.prompt.teachers.teacher import Labels

BEHIND = ("confidence", "agreement", "probabilities", "found", "invented", "cost", "unlabelled")
PREFIX = "teacher_"


def with_labels(frame: pl.DataFrame, labels: Labels) -> tuple[pl.DataFrame, list[str]]:
    """All columns of `frame` [N rows], and: label, confidence, agreement (where a text was asked more than once), probabilities
    (JSON, by label), cost (where prices are known), unlabelled (why there is no label). Names that `frame` has already get
    `teacher_` before them; (frame, notes).
    """
    names = [labels.names[i] if i >= 0 else None for i in labels.labels.tolist()]
    probs = [
        dict(zip(labels.names, (round(p, 6) for p in row), strict=True)) if known else None
        for row, known in zip(labels.probs.tolist(), labels.labelled.tolist(), strict=True)
    ]
    first = {"label": pl.Series(names, dtype=pl.String)}
    return _beside(frame, first, {**_common(labels), "probabilities": values(probs)})


def with_answers(frame: pl.DataFrame, answers: Answers, task: TaskDescription) -> tuple[pl.DataFrame, list[str]]:
    """As `with_labels`, with the answer as JSON: `labels` or `spans`, a list, or `answer`, and a column for each property of
    its objects. Several labels have `probabilities` where they are known, spans `invented`, how many did not stand in the text,
    and JSON `found`, where each of its texts stands in the row's.
    """
    first: dict[str, pl.Series] = {answers.kind: values([None if row is None else row[answers.kind] for row in answers.rows])}
    for name in (task.schema or {}).get("properties", {}):
        members = [_member(row, name) for row in answers.rows]
        nested = any(isinstance(member, list | dict) for member in members)
        first[name] = values(members) if nested else series(name, members)
    common = _common(answers)
    if answers.kind == "labels" and any(row is not None and "probabilities" in row for row in answers.rows):
        common["probabilities"] = values([None if row is None else row.get("probabilities") for row in answers.rows])
    if answers.kind == "answer":
        common["found"] = values([None if row is None else row["found"] for row in answers.rows])
    if answers.kind == "spans":
        common["invented"] = pl.Series([None if row is None else row["invented"] for row in answers.rows], dtype=pl.Int64)
    return _beside(frame, first, common)


def _common(found: Labels | Answers) -> dict[str, pl.Series]:
    made = {
        "confidence": _numbers(np.where(found.labelled, found.confidence, np.nan)),
        "unlabelled": pl.Series(found.errors, dtype=pl.String),
    }
    if np.isfinite(found.agreement).any():
        made["agreement"] = _numbers(found.agreement)
    if found.costs is not None:
        made["cost"] = _numbers(found.costs)
    return made


def _beside(frame: pl.DataFrame, first: dict[str, pl.Series], more: dict[str, pl.Series]) -> tuple[pl.DataFrame, list[str]]:
    """A name that is taken, by the rows or by a column before it, gets the prefix."""
    taken, clashing = list(frame.columns), []
    ordered = []
    for name, column in [*first.items(), *((name, more[name]) for name in BEHIND if name in more)]:
        if name in taken:
            clashing.append(name)
        own = _free(name, taken)
        taken.append(own)
        ordered.append(column.alias(own))
    notes = [f"The rows have {listed(clashing)} already, so the teacher's begin with {PREFIX}."] if clashing else []
    return frame.with_columns(ordered), notes


def _member(row: Mapping[str, Any] | None, name: str) -> Any:
    answer = None if row is None else row["answer"]
    return answer.get(name) if isinstance(answer, Mapping) else None


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name = PREFIX + name
    return name


def _numbers(values: np.ndarray) -> pl.Series:
    """NaN is an empty cell."""
    return pl.Series([None if np.isnan(v) else float(v) for v in values], dtype=pl.Float64)
