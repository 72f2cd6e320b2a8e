"""What is audited: every data row of one file or two, the broken ones too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from maskfork.errors import DataError
from maskfork.learn.data.audit.finding import EXCERPT, Hit
from maskfork.learn.data.columns import Columns, find_columns, resolve
from maskfork.learn.data.gather import same_columns, split_column
from maskfork.learn.data.labels import parts_of, refuse_non_classes, separator_of, spell
from maskfork.learn.data.names import TEST_SPLIT, TRAIN_SPLIT, quoted, simplify
from maskfork.learn.data.read import read_table
from maskfork.learn.data.rows import IntArray, Rows
from maskfork.learn.data.table import Table
from maskfork.learn.data.unlabelled import find_text


@dataclass(frozen=True)
class Material:
    """N rows in the order of the files, train first where there is a test file.

    `held` bool [N]: the row is on the test side. `places` [N]: (file, data row from 1). `labels` [N] as written, None where the
    cell is empty; None for a file without labels. `classes` says that labels are classes: one a row, or several with `separator`
    between them (`data.labels.separator_of`).
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: tuple[str | None, ...] | None
    held: NDArray[np.bool_]
    places: tuple[tuple[str, int], ...]
    columns: tuple[str, str | None, str | None]  # text, pair, label
    classes: bool
    notes: tuple[str, ...] = ()
    separator: str | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: IntArray) -> Material:
        """These rows, in this order."""
        where = indices.tolist()
        return replace(
            self,
            texts=tuple(self.texts[i] for i in where),
            pairs=None if self.pairs is None else tuple(self.pairs[i] for i in where),
            labels=None if self.labels is None else tuple(self.labels[i] for i in where),
            held=self.held[indices],
            places=tuple(self.places[i] for i in where),
        )

    def names(self, i: int) -> tuple[str, ...]:
        """The labels of row `i`."""
        label = None if self.labels is None else self.labels[i]
        if label is None:
            return ()
        return (label,) if self.separator is None else parts_of(label, self.separator)

    def hit(self, i: int, of: int | None = None, **more: Any) -> Hit:
        """Row `i` as a finding shows it, beside row `of`."""
        file, row = self.places[i]
        if of is not None:
            more["of_file"], more["of_row"] = self.places[of]
            more["of_label"] = None if self.labels is None else self.labels[of]
        return Hit(
            file=file,
            row=row,
            text=excerpt(self.texts[i]),
            pair=None if self.pairs is None else excerpt(self.pairs[i]),
            label=None if self.labels is None else self.labels[i],
            **more,
        )

    def words(self) -> str:
        """What a row holds, for a title."""
        return "text" if self.pairs is None else "pair"


def excerpt(text: str) -> str:
    """One line, cut."""
    flat = " ".join(text.split())
    return flat if len(flat) <= EXCERPT else flat[: EXCERPT - 1] + "…"


def read_material(
    path: str | Path,
    test_path: str | Path | None = None,
    *,
    text: str | None = None,
    label: str | None = None,
    pair: str | None = None,
) -> Material:
    """Read what `load_dataset` reads, leaving nothing out. Raises DataError for files and named columns that cannot be read.

    A file in which no column looks like a label is read without one; a note says so.
    """
    path = Path(path)
    table = read_table(path, [name for name in (text, label, pair) if name])
    columns, why = _columns(table, text, label, pair)
    split = split_column(table)
    notes = [*table.notes, why]
    parts = [_part(table, columns, path.name)]
    held = _held(table, split)
    if test_path is not None:
        other = read_table(Path(test_path), [*table.columns] if table.header else [name for name in (text, label, pair) if name])
        notes += other.notes
        parts.append(_part(other, same_columns(other, columns, table), Path(test_path).name))
        held = np.concatenate([np.zeros(table.frame.height, dtype=bool), np.ones(other.frame.height, dtype=bool)])
    elif split is not None:
        notes.append(f"{path.name} names its splits in {quoted(split)}: test rows are held against train rows.")
    texts = [one for part in parts for one in part[0]]
    pairs = [one for part in parts for one in part[1] or ()] if columns.pair else None
    labels = spell([one for part in parts for one in part[2]]) if columns.label else None
    classes, separator = False, None
    if labels is not None:
        known = [one for one in labels if one is not None]
        separator = separator_of(known)
        try:
            if separator is None:
                refuse_non_classes(known, columns.label, path)
            else:
                notes.append(f"{quoted(columns.label)} holds several labels a row.")
            classes = len(set(known)) > 1
        except DataError as error:
            notes.append(f"Checks of classes are left out: {error}")
    return Material(
        tuple(texts),
        None if pairs is None else tuple(pairs),
        None if labels is None else tuple(labels),
        held,
        tuple(place for part in parts for place in part[3]),
        (columns.text, columns.pair, columns.label or None),
        classes,
        tuple(note for note in notes if note),
        separator,
    )


def of_rows(train: Rows, test: Rows | None = None, files: tuple[str, str] = ("train", "test")) -> Material:
    """Rows that are read already."""
    sides = [train] if test is None or not len(test) else [train, test]
    return Material(
        tuple(text for side in sides for text in side.texts),
        None if train.pairs is None else tuple(pair for side in sides for pair in side.pairs or ()),
        tuple(side.label_names[label] for side in sides for label in side.labels.tolist()),
        np.repeat(np.arange(len(sides)) == 1, [len(side) for side in sides]),
        tuple((file, row + 1) for side, file in zip(sides, files, strict=False) for row in side.row_ids.tolist()),
        ("text", None if train.pairs is None else "pair", "label"),
        classes=True,
    )


def _columns(table: Table, text: str | None, label: str | None, pair: str | None) -> tuple[Columns, str]:
    try:
        found = find_columns(table, text=text, label=label, pair=pair)
    except DataError as error:
        if label is not None:
            raise
        named = [resolve(table, name, option) for name, option in ((text, "--text"), (pair, "--pair")) if name]
        first = named[0] if text else find_text(table)
        second = named[-1] if pair else None
        return Columns(first, second, "", ""), f"No labels are audited: {error}"
    return found, found.why


_Part = tuple[list[str], list[str] | None, list[Any], list[tuple[str, int]]]


def _part(table: Table, columns: Columns, name: str) -> _Part:
    height = table.frame.height
    return (
        _strings(table, columns.text),
        _strings(table, columns.pair) if columns.pair else None,
        table.frame[columns.label].to_list() if columns.label else [None] * height,
        [(name, i + 1) for i in range(height)],
    )


def _strings(table: Table, column: str) -> list[str]:
    return [_words(cell) for cell in table.frame[column].cast(pl.String).fill_null("").to_list()]


def _words(cell: str) -> str:
    """A list of tokens, which a reader hands on as JSON, is the text they make."""
    if cell.startswith('["') and cell.endswith('"]'):
        try:
            value = json.loads(cell)
        except ValueError:
            return cell
        if all(isinstance(token, str) for token in value):
            return " ".join(value)
    return cell


def _held(table: Table, column: str | None) -> NDArray[np.bool_]:
    if column is None:
        return np.zeros(table.frame.height, dtype=bool)
    names: Sequence[str] = [simplify("" if v is None else str(v)) for v in table.frame[column].to_list()]
    return np.array([name in TEST_SPLIT or (name not in TRAIN_SPLIT and name != "") for name in names], dtype=bool)
