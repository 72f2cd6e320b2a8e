"""Texts without labels: what a trained model is to label."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from maskfork.errors import DataError
from maskfork.learn.data.columns import nested, profile, resolve
from maskfork.learn.data.delimited import has_header
from maskfork.learn.data.names import TEXT, listed, quoted, simplify
from maskfork.learn.data.read import ROWS, read_table, read_text
from maskfork.learn.data.table import Table

SEPARATORS = {".csv": ",", ".tsv": "\t"}


def read_texts(
    path: str | Path, *, text: str | None = None, pair: str | None = None
) -> tuple[list[str], list[str] | None, list[str]]:
    """(texts, second texts or None, sentences on what was taken) of any file that `load_dataset` reads, and of texts alone.

    Without `text` the column is found by its name, else the one with the longest values. Raises DataError.
    """
    if pair is None and (bare := bare_texts(Path(path), text)) is not None:
        return bare.texts, None, [bare.why]
    table = read_table(path, [name for name in (text, pair) if name])
    column = resolve(table, text, "--text") if text else find_text(table)
    second = resolve(table, pair, "--pair") if pair else None
    texts = _strings(table, column)
    empty = sum(1 for value in texts if not value.strip())
    notes = [*table.notes, f"{table.path.name}: {len(texts):,} texts from column {quoted(column)}."]
    if empty:
        notes.append(f"{empty:,} of them are empty; they get a label too, which says nothing.")
    return texts, None if second is None else _strings(table, second), notes


@dataclass(frozen=True)
class Bare:
    """`column` is the header over the texts, "text" where there is none; `why` a sentence on them."""

    texts: list[str]
    column: str
    why: str


def bare_texts(path: Path, wanted: str | None = None) -> Bare | None:
    """The texts of a file that holds nothing else: .txt, a line each; csv or tsv of one column, whose header may be `wanted`.

    None where it holds more, or another column than `wanted`. Raises DataError for a .txt file and a column without any.
    """
    kind = path.suffix.lower()
    if kind == ".txt":
        texts = [line.strip() for line in read_text(path).splitlines() if line.strip()]
        if not texts:
            raise DataError(f"{path} holds no line of text: give a text a line")
        return Bare(texts, "text", f"{path.name}: {len(texts):,} lines, a text each.")
    if kind not in SEPARATORS or not (cells := _one_column(path, SEPARATORS[kind])):
        return None
    header = has_header([[cell] for cell in cells], [] if wanted is None else [wanted])
    column = cells[0].strip() if header else "text"
    if wanted is not None and simplify(wanted) != simplify(column):
        return None
    texts = cells[1:] if header else cells
    if not texts:
        raise DataError(f"{path.name} holds a header and no rows; {ROWS}.")
    return Bare(texts, column, f"{path.name}: {len(texts):,} texts, its only column{f' {quoted(column)}' if header else ''}.")


def _one_column(path: Path, separator: str) -> list[str]:
    """Its cells, which no reader of labelled rows takes; none where it holds more than a column."""
    try:
        rows = [row for row in csv.reader(StringIO(read_text(path), newline=""), delimiter=separator, strict=True) if row]
    except csv.Error:
        return []  # the reader of tables says what is wrong
    alone = all(len(row) == 1 for row in rows) and any(row[0].strip() for row in rows)
    return [row[0] for row in rows] if alone else []


def _strings(table: Table, column: str) -> list[str]:
    return ["" if value is None else str(value) for value in table.frame[column].to_list()]


def find_text(table: Table) -> str:
    """The column of the texts: by its name, else the one with the longest values. Raises DataError."""
    profiles = {name: profile(table.frame[name]) for name in table.columns}
    for known in TEXT:
        for name in table.columns:
            if simplify(name) == known and not profiles[name].numeric:
                return name
    wordy = {name: p.chars for name, p in profiles.items() if p.distinct and not p.numeric and not p.objects}
    if not wordy:
        raise DataError(
            f"{table.path.name} has no column of texts (its columns are {listed(table.columns)}): name one with --text"
            f"{nested(table, profiles)}."
        )
    return max(wordy, key=lambda name: wordy[name])
