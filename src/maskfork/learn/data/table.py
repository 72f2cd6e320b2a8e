"""What a reader hands on: named columns of strings, numbers or booleans, and what it had to say about the file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.names import quoted

#: The longest field that is taken, in characters. Longer ones are nearly always a quote that was never closed.
MAX_FIELD_CHARS = 1_000_000


@dataclass(frozen=True)
class Table:
    """A file as columns of equal length. `header` says whether the names are the file's own (else column_1, ...)."""

    path: Path
    frame: pl.DataFrame
    format: str
    encoding: str
    header: bool
    notes: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        return list(self.frame.columns)


def scalar(value: Any) -> Any:
    """A JSON value as one cell: a list of one is its element, NaN is null, other lists and objects become JSON text."""
    if isinstance(value, list) and len(value) == 1 and not isinstance(value[0], list | dict):
        value = value[0]
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


def as_label(value: Any) -> str:
    """One spelling for a scalar, so that 0, 0.0 and "0" are one label; booleans are written as JSON has them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def series(name: str, values: Sequence[Any]) -> pl.Series:
    """A typed column where all values agree, else strings."""
    cells = [scalar(value) for value in values]
    kinds = {type(cell) for cell in cells if cell is not None}
    if kinds == {bool}:
        return pl.Series(name, cells, dtype=pl.Boolean)
    if kinds == {int} and all(cell is None or -(2**63) <= cell < 2**63 for cell in cells):
        return pl.Series(name, cells, dtype=pl.Int64)
    if kinds and kinds <= {int, float}:
        return pl.Series(name, [None if cell is None else float(cell) for cell in cells], dtype=pl.Float64)
    return pl.Series(name, [None if cell is None else as_label(cell) for cell in cells], dtype=pl.String)


def frame_of(path: Path, columns: Mapping[str, Sequence[Any]]) -> pl.DataFrame:
    """Columns as a frame. Raises DataError for a field over `MAX_FIELD_CHARS`."""
    frame = pl.DataFrame([series(name, values) for name, values in columns.items()])
    refuse_long_fields(path, frame)
    return frame


def typed_frame(path: Path, frame: pl.DataFrame) -> pl.DataFrame:
    """A typed file's columns as those of a text file: categories, times and UTF-8 bytes are strings, lists and objects JSON.

    Raises DataError as `frame_of`.
    """
    return frame_of(path, {name: _cells(frame[name]) for name in frame.columns})


def _cells(column: pl.Series) -> list[Any]:
    kind = column.dtype
    if kind.is_temporal() or kind in (pl.Categorical, pl.Enum):
        return column.cast(pl.String).to_list()
    if kind == pl.Binary:  # what some writers make of strings
        texts = column.cast(pl.String, strict=False)
        return texts.to_list() if texts.null_count() == column.null_count() else column.to_list()
    return column.to_list()


def refuse_long_fields(path: Path, frame: pl.DataFrame) -> None:
    """Raises DataError that names the first field over `MAX_FIELD_CHARS`."""
    for name in frame.columns:
        if frame[name].dtype != pl.String:
            continue
        lengths = frame[name].str.len_chars().fill_null(0)
        worst = lengths.max()
        if isinstance(worst, int) and worst > MAX_FIELD_CHARS:
            row = int((lengths > MAX_FIELD_CHARS).arg_max() or 0)
            raise DataError(
                f"{path.name}, row {row + 1}: column {quoted(name)} holds {lengths[row]:,} characters and the limit is "
                f"{MAX_FIELD_CHARS:,}; cut this text, or close the quote that was left open there."
            )
