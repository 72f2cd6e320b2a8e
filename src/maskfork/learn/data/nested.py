"""Columns of lists and objects between files: a table holds them as JSON text, JSON lines and parquet as what they are."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import polars as pl

from maskfork.learn.data.read import read_text
from maskfork.learn.data.table import Table, as_label


def values(cells: Sequence[Any]) -> pl.Series:
    """A column of any JSON values; None is an empty cell."""
    return pl.Series(list(cells), dtype=pl.Object)


def restored(table: Table) -> pl.DataFrame:
    """The frame with the lists and objects that its file holds in place of their JSON text, to be written with the rest."""
    if table.format == "parquet" and table.path.suffix.lower() == ".parquet":
        file = pl.scan_parquet(table.path)
        nested = [name for name, kind in file.collect_schema().items() if kind.is_nested()]
        return table.frame.with_columns(file.select(nested).collect().get_columns())
    if table.format in ("json lines", "json"):
        rows = _rows(read_text(table.path), table.format)
        if len(rows) == table.frame.height:
            names = {name for row in rows for name, value in row.items() if isinstance(value, list | dict)}
            return table.frame.with_columns(values([row.get(name) for row in rows]).alias(name) for name in names)
    return table.frame


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and objects as JSON text, for files that have neither."""
    return _as_text(frame, [name for name, kind in frame.schema.items() if kind.is_nested() or kind == pl.Object])


def typed(frame: pl.DataFrame) -> pl.DataFrame:
    """Lists and objects of one type stay, those of any type are JSON text, for files whose columns have types."""
    return _as_text(frame, [name for name, kind in frame.schema.items() if kind == pl.Object])


def _as_text(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return frame.with_columns(
        pl.Series(name, [None if cell is None else _text(cell) for cell in frame[name].to_list()], dtype=pl.String)
        for name in names
    )


def _text(cell: Any) -> str:
    return as_json(cell) if isinstance(cell, list | dict) else as_label(cell)


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _rows(text: str, kind: str) -> list[dict[str, Any]]:
    """The objects of a file that the reader has read; none where it is made otherwise."""
    found = json.loads(text) if kind == "json" else [json.loads(line) for line in text.split("\n") if line.strip()]
    return found if isinstance(found, list) and all(isinstance(row, dict) for row in found) else []
