"""A teacher's labels as columns beside those that the rows came with."""

from __future__ import annotations

import json

import numpy as np
import polars as pl

from maskfork.learn.data.names import listed
from maskfork.prompt.teachers.teacher import Labels

COLUMNS = ("label", "confidence", "agreement", "probabilities", "cost", "unlabelled")
PREFIX = "teacher_"


def with_labels(frame: pl.DataFrame, labels: Labels) -> tuple[pl.DataFrame, list[str]]:
    """All columns of `frame` [N rows], and: label, confidence, agreement (where a text was asked more than once), probabilities
    (JSON, by label), cost (where prices are known), unlabelled (why there is no label). Names that `frame` has already get
    `teacher_` before them; (frame, notes).
    """
    there = labels.labelled
    rows = labels.probs.tolist()
    names = [labels.names[i] if i >= 0 else None for i in labels.labels.tolist()]
    probs = [
        json.dumps(dict(zip(labels.names, (round(p, 6) for p in row), strict=True)), ensure_ascii=False) if known else None
        for row, known in zip(rows, there.tolist(), strict=True)
    ]
    made: dict[str, pl.Series] = {
        "label": pl.Series(names, dtype=pl.String),
        "confidence": _numbers(np.where(there, labels.confidence, np.nan)),
        "agreement": _numbers(labels.agreement),
        "probabilities": pl.Series(probs, dtype=pl.String),
        "unlabelled": pl.Series(labels.errors, dtype=pl.String),
    }
    if labels.costs is not None:
        made["cost"] = _numbers(labels.costs)
    if not np.isfinite(labels.agreement).any():
        del made["agreement"]
    clashing = [name for name in made if name in frame.columns]
    notes = []
    if clashing:
        notes.append(f"The rows have {listed(clashing)} already, so the teacher's begin with {PREFIX}.")
    ordered = [made[name].alias(_free(name, frame.columns)) for name in COLUMNS if name in made]
    return frame.with_columns(ordered), notes


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name = PREFIX + name
    return name


def _numbers(values: np.ndarray) -> pl.Series:
    """NaN is an empty cell."""
    return pl.Series([None if np.isnan(v) else float(v) for v in values], dtype=pl.Float64)
