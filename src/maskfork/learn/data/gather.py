"""One file or two become one list of usable rows, each marked as held out or not where the files say so."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.learn.data.collect import Source, collect
from maskfork.learn.data.columns import Columns, find_columns, resolve
from maskfork.learn.data.names import SPLIT, TEST_SPLIT, TRAIN_SPLIT, listed, quoted, simplify, suggestion
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table


@dataclass(frozen=True)
class Gathered:
    """`held` bool [N] is given by the files (`how` is "file" or "column"), or is None and the rows are still to split."""

    source: Source
    held: npt.NDArray[np.bool_] | None
    how: str
    table: Table
    columns: Columns
    group: str | None
    time: str | None
    rows: int  # data rows read, usable or not
    notes: list[str]


def gather(
    path: Path,
    test_path: Path | None,
    *,
    text: str | None,
    label: str | None,
    pair: str | None,
    group: str | None,
    time: str | None,
) -> Gathered:
    """Read the file or files, find the columns, and mark what the files themselves hold out. Raises DataError."""
    wanted = [name for name in (text, label, pair, group, time) if name]
    table = read_table(path, wanted)
    group = resolve(table, group, "--group") if group else None
    time = resolve(table, time, "--time") if time else None
    columns = find_columns(table, text=text, label=label, pair=pair, taken=tuple(n for n in (group, time) if n))
    split = split_column(table)
    source = collect(table, columns, group=group, time=time, split=split)
    notes = [*table.notes, columns.why, *source.notes]
    rows = table.frame.height
    if test_path is None:
        source, held = _by_split(source, split, table, (*TRAIN_SPLIT, *TEST_SPLIT), notes)
        return Gathered(source, held, "column" if held is not None else "", table, columns, group, time, rows, notes)
    source, _ = _by_split(source, split, table, TRAIN_SPLIT, notes)
    other = read_table(test_path, [*wanted, *(table.columns if table.header else [])])
    split = split_column(other)
    tests = collect(other, same_columns(other, columns, table), group=None, time=None, split=split)
    notes += [*other.notes, *tests.notes]
    tests, _ = _by_split(tests, split, other, TEST_SPLIT, notes)
    held = np.arange(len(source) + len(tests)) >= len(source)
    rows += other.frame.height
    return Gathered(source.joined(tests), held, "file", table, columns, group, time, rows, notes)


def split_column(table: Table) -> str | None:
    """A column called split (or so) that says train and test."""
    for name in table.columns:
        if simplify(name) in SPLIT:
            values = {simplify(str(value)) for value in table.frame[name].unique().to_list() if value is not None}
            if values & set(TRAIN_SPLIT) and values & set(TEST_SPLIT):
                return name
    return None


def _by_split(
    source: Source, column: str | None, table: Table, kept: tuple[str, ...], notes: list[str]
) -> tuple[Source, npt.NDArray[np.bool_] | None]:
    """The rows of the splits that are kept, and which of them are test; the others are counted in a note."""
    if column is None or source.splits is None:
        return source, None
    names = [simplify(name) for name in source.splits]
    others: dict[str, int] = {}
    for name, own in zip(names, source.splits, strict=True):
        if name not in kept:
            others[own] = others.get(own, 0) + 1
    taken = " and ".join(sorted({own for name, own in zip(names, source.splits, strict=True) if name in kept}, reverse=True))
    left = "; left out: " + ", ".join(f"{quoted(n)} ({c:,} rows)" for n, c in others.items()) if others else ""
    notes.append(f"{table.path.name} names its splits in {quoted(column)}: {taken} taken as they stand there{left}.")
    chosen = np.array([i for i, name in enumerate(names) if name in kept], dtype=np.int64)
    return source.take(chosen), np.array([names[i] in TEST_SPLIT for i in chosen.tolist()], dtype=bool)


def same_columns(table: Table, columns: Columns, train: Table) -> Columns:
    """The test file's columns for those found in train: by name, or by place where one file has no header."""
    names = [name for name in (columns.text, columns.pair, columns.label) if name]
    if all(name in table.columns for name in names):
        return columns
    if len(table.columns) == len(train.columns) and not (table.header and train.header):
        place = {name: table.columns[train.columns.index(name)] for name in names}
        return Columns(place[columns.text], place[columns.pair] if columns.pair else None, place[columns.label], "")
    missing = next(name for name in names if name not in table.columns)
    raise DataError(
        f"{table.path.name} has no column {quoted(missing)}, which {train.path.name} has"
        f"{suggestion(missing, table.columns)} (its columns are {listed(table.columns)}); give both files the same columns."
    )
