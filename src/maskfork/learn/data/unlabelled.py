"""Texts without labels: what a trained model is to label."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import DataError
from maskfork.learn.data.columns import profile, resolve
from maskfork.learn.data.names import TEXT, listed, quoted, simplify
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table


def read_texts(
    path: str | Path, *, text: str | None = None, pair: str | None = None
) -> tuple[list[str], list[str] | None, list[str]]:
    """(texts, second texts or None, sentences on what was taken) of any file that `load_dataset` reads.

    Without `text` the column is found by its name, else the one with the longest values. Raises DataError.
    """
    table = read_table(path, [name for name in (text, pair) if name])
    column = resolve(table, text, "--text") if text else find_text(table)
    second = resolve(table, pair, "--pair") if pair else None
    texts = _strings(table, column)
    empty = sum(1 for value in texts if not value.strip())
    notes = [*table.notes, f"{table.path.name}: {len(texts):,} texts from column {quoted(column)}."]
    if empty:
        notes.append(f"{empty:,} of them are empty; they get a label too, which says nothing.")
    return texts, None if second is None else _strings(table, second), notes


def _strings(table: Table, column: str) -> list[str]:
    return ["" if value is None else str(value) for value in table.frame[column].to_list()]


def find_text(table: Table) -> str:
    """The column of the texts: by its name, else the one with the longest values. Raises DataError."""
    profiles = {name: profile(table.frame[name]) for name in table.columns}
    for known in TEXT:
        for name in table.columns:
            if simplify(name) == known and not profiles[name].numeric:
                return name
    wordy = {name: p.chars for name, p in profiles.items() if p.distinct and not p.numeric}
    if not wordy:
        raise DataError(
            f"{table.path.name} has no column of texts (its columns are {listed(table.columns)}): name one with --text."
        )
    return max(wordy, key=lambda name: wordy[name])
