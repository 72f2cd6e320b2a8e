"""Files of labels, numbers or lines, and which row of one belongs to which of the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.columns import resolve
from maskfork.learn.data.labels import spell
from maskfork.learn.data.names import IDENTITY, listed, quoted, simplify
from maskfork.learn.data.read import read_table, read_text
from maskfork.learn.data.table import Table

TABLES = (".csv", ".tsv", ".tab", ".json", ".jsonl", ".ndjson", ".parquet")
PREDICTED = ("prediction", "predictions", "predicted", "predicted_label", "pred", "preds", "output", "answer")
GOLD = ("label", "labels", "gold", "gold_label", "target", "class", "category", "score", "similarity", "value", "y")


def read_column(
    path: Path, column: str | None, *, predicted: bool, known: Sequence[str] = GOLD
) -> tuple[list[Any], list[str] | None, list[str]]:
    """(values, ids or None, sentences on what was taken) of a table's column, or of the lines of any other file.

    `known` are the names that a column of gold values may have, beside those of predictions where `predicted`. Raises DataError.
    """
    if not is_table(path):
        if column is not None:
            raise DataError(
                f"{path.name} is read as lines, which have no column {quoted(column)}; end its name in .csv or .jsonl."
            )
        return [line.strip() for line in read_lines(path)], None, [f"{path.name}: {len(read_lines(path)):,} lines."]
    one = _single_column(path)
    if one is not None:
        return one, None, [f"{path.name}: its one column."]
    table = read_table(path, [column] if column else [])
    name = _column(table, column, known, predicted=predicted)
    ids = next((c for c in table.columns if simplify(c) in IDENTITY and c != name), None)
    keys = None if ids is None else [str(value) for value in table.frame[ids].to_list()]
    if keys is not None and len(set(keys)) < len(keys):
        keys = None
    said = f"{path.name}: {table.frame.height:,} rows, column {quoted(name)}"
    return table.frame[name].to_list(), keys, [*table.notes, f"{said}, by {quoted(ids)}." if keys and ids else f"{said}."]


def is_table(path: Path) -> bool:
    """Whether the name ends as a table's does."""
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return bool(endings) and endings[-1] in TABLES


def read_lines(path: Path) -> list[str]:
    """The lines of a text file; an empty last one is none. Raises DataError for a file without any."""
    lines = read_text(path).replace("\r\n", "\n").split("\n")
    if lines and not lines[-1]:
        lines.pop()
    if not lines:
        raise DataError(f"{path.name} is empty: give a line for each row.")
    return lines


def _single_column(path: Path) -> list[Any] | None:
    """A csv or tsv without separators, its header (if one of the usual names) taken off; JSON's list of bare values."""
    text = read_text(path) if path.suffix.lower() != ".parquet" else ""
    if path.suffix.lower() == ".json" and text.lstrip().startswith("["):
        try:
            values = json.loads(text)
        except ValueError:
            return None
        return values if values and not isinstance(values[0], dict | list) else None
    if path.suffix.lower() not in (".csv", ".tsv", ".tab") or any(sign in text for sign in ",;\t"):
        return None
    lines = [line.strip().strip('"') for line in read_lines(path)]
    return lines[1:] if simplify(lines[0]) in (*PREDICTED, *GOLD) else lines


def _column(table: Table, name: str | None, names: Sequence[str], *, predicted: bool) -> str:
    if name is not None:
        return resolve(table, name, "--predicted" if predicted else "--column")
    for known in (*PREDICTED, *names) if predicted else names:
        for column in table.columns:
            if simplify(column) == known:
                return column
    option = "--predicted" if predicted else "--column"
    raise DataError(
        f"{table.path.name} has no column that is called as {'predictions' if predicted else 'labels'} are (its columns are "
        f"{listed(table.columns)}): name it with {option} COLUMN."
    )


def joined(gold: Path, column: str | None, other: Path, predicted: str | None, notes: list[str]) -> tuple[list[Any], list[Any]]:
    """Gold values and predictions, row by row: by id where both have the same ids, else in order. Raises DataError."""
    truth, keys, said = read_column(gold, column, predicted=False)
    guess, own, more = read_column(other, predicted, predicted=True)
    notes += [note for note in (*said, *more) if note not in notes]
    if keys is not None and own is not None and set(keys) == set(own):
        place = {key: i for i, key in enumerate(own)}
        return truth, [guess[place[key]] for key in keys]
    if len(truth) != len(guess):
        raise DataError(
            f"{gold.name} has {len(truth):,} rows and {other.name} {len(guess):,}: give a prediction for every row, in order or "
            "with the same ids."
        )
    return truth, guess


def as_labels(values: Sequence[Any], name: str) -> list[str]:
    """One spelling a label. Raises DataError with the first row that has none."""
    labels = spell(list(values))
    empty = next((i for i, label in enumerate(labels) if label is None), None)
    if empty is not None:
        raise DataError(f"{name}, row {empty + 1} has no label: fill it, because every row is scored.")
    return [label for label in labels if label is not None]


def as_numbers(values: Sequence[Any], name: str) -> list[float]:
    """Finite numbers. Raises DataError with the first row that is none."""
    numbers = []
    for i, value in enumerate(values):
        try:
            number = float(str(value).strip())
        except ValueError:
            number = float("nan")
        if not number - number == 0.0:  # neither nan nor endless
            raise DataError(f"{name}, row {i + 1} holds {quoted(str(value))}, which is no number: put it right.")
        numbers.append(number)
    return numbers
