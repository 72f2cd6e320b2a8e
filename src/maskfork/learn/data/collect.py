"""From a table and its columns to labelled texts; rows without text or label are left out and counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.columns import Columns
from maskfork.learn.data.labels import spell
from maskfork.learn.data.names import listed, quoted
from maskfork.learn.data.rows import IntArray, Rows
from maskfork.learn.data.table import Table


@dataclass(frozen=True)
class Source:
    """Usable rows of a file, labels still as words."""

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    labels: list[str]
    row_ids: IntArray
    groups: tuple[str, ...] | None = None
    times: tuple[str, ...] | None = None
    splits: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: IntArray) -> Source:
        """These rows, in this order."""
        where = indices.tolist()

        def some(values: tuple[str, ...] | None) -> tuple[str, ...] | None:
            return None if values is None else tuple(values[i] for i in where)

        return replace(
            self,
            texts=tuple(self.texts[i] for i in where),
            pairs=some(self.pairs),
            labels=[self.labels[i] for i in where],
            row_ids=self.row_ids[indices],
            groups=some(self.groups),
            times=some(self.times),
            splits=some(self.splits),
        )

    def joined(self, other: Source) -> Source:
        """Both, this one first; groups, times and splits have done their work by then."""
        return Source(
            texts=self.texts + other.texts,
            pairs=None if self.pairs is None or other.pairs is None else self.pairs + other.pairs,
            labels=self.labels + other.labels,
            row_ids=np.concatenate([self.row_ids, other.row_ids]),
        )

    def rows(self, labels: IntArray, names: tuple[str, ...]) -> Rows:
        return Rows(self.texts, self.pairs, labels, names, self.row_ids, self.groups)


def collect(table: Table, columns: Columns, *, group: str | None, time: str | None, split: str | None) -> Source:
    """Rows with a text and a label. Raises DataError where none is left, or a row has no group or time."""
    name = table.path.name
    texts = _strings(table, columns.text)
    pairs = _strings(table, columns.pair) if columns.pair else None
    labels = spell(table.frame[columns.label].to_list())
    has_text = [bool(text.strip()) for text in texts]
    if not any(has_text):
        raise DataError(f"{name}: the text column {quoted(columns.text)} is empty in every row; name another with --text.")
    if not any(label is not None for label in labels):
        raise DataError(f"{name}: the label column {quoted(columns.label)} is empty in every row; name another with --label.")
    notes: list[str] = []
    if pairs is not None:
        one_only = sum(a != bool(b.strip()) for a, b in zip(has_text, pairs, strict=True))
        has_text = [a or bool(b.strip()) for a, b in zip(has_text, pairs, strict=True)]
        if one_only:
            notes.append(f"{name}: {_rows(one_only)} only one of the two texts; such rows are kept.")
    no_text = has_text.count(False)
    no_label = sum(label is None and text for label, text in zip(labels, has_text, strict=True))
    if no_text:
        notes.append(f"{name}: {_rows(no_text)} no text and {_are(no_text)} left out.")
    if no_label:
        notes.append(f"{name}: {_rows(no_label)} no label and {_are(no_label)} left out.")
    kept = np.array([i for i, text in enumerate(has_text) if text and labels[i] is not None], dtype=np.int64)
    if not len(kept):
        raise DataError(f"{name}: no row has both a text and a label; name the right columns with --text and --label.")
    everything = Source(
        texts=tuple(texts),
        pairs=None if pairs is None else tuple(pairs),
        labels=[label or "" for label in labels],
        row_ids=np.arange(len(texts), dtype=np.int64),
        groups=_filled(table, group, "--group", kept) if group else None,
        times=_filled(table, time, "--time", kept) if time else None,
        splits=tuple(_strings(table, split)) if split else None,
        notes=notes,
    )
    return everything.take(kept)


def _strings(table: Table, column: str) -> list[str]:
    return table.frame[column].cast(pl.String).fill_null("").to_list()


def _filled(table: Table, column: str, option: str, kept: IntArray) -> tuple[str, ...]:
    values = _strings(table, column)
    empty = [i for i in kept.tolist() if not values[i].strip()]
    if empty:
        raise DataError(
            f"{table.path.name}: the column {quoted(column)} for {option} is empty in {len(empty)} row"
            f"{'s' if len(empty) != 1 else ''} (first in row {empty[0] + 1}); fill it or leave those rows out."
        )
    return tuple(values)


def _rows(count: int) -> str:
    return f"{count:,} rows have" if count != 1 else "1 row has"


def _are(count: int) -> str:
    return "are" if count != 1 else "is"


def drop_rare_labels(
    source: Source, held: npt.NDArray[np.bool_] | None, notes: list[str]
) -> tuple[Source, npt.NDArray[np.bool_] | None]:
    """Without the rows of labels that have one row to train on; a note says which."""
    trained = source.labels if held is None else [x for x, out in zip(source.labels, held, strict=True) if not out]
    rare = {label for label, count in Counter(trained).items() if count == 1}
    if not rare:
        return source, held
    kept = np.array([i for i, label in enumerate(source.labels) if label not in rare], dtype=np.int64)
    gone = len(source) - len(kept)
    which = f"{listed(sorted(rare))} (one row each)" if len(rare) > 1 else f"{listed(sorted(rare))} (one row)"
    notes.append(f"{gone:,} row{'s' if gone != 1 else ''} with a rare label left out, as --drop-rare asks: {which}.")
    return source.take(kept), None if held is None else held[kept]
