"""JSON lines, a JSON array of rows, an object of columns, and an object of splits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.names import quoted
from maskfork.learn.data.table import frame_of

_SHAPE = 'give one object a line, {"text": "...", "label": "..."}'


def looks_like_json(text: str) -> str | None:
    """`"jsonl"`, `"json"` or None by the first character and the first line."""
    start = text.lstrip()
    if not start.startswith(("{", "[")):
        return None
    first, _, rest = start.partition("\n")
    try:
        value = json.loads(first)
    except ValueError:
        return "json" if _parses(start) else None
    if isinstance(value, dict | list) and rest.strip():
        return "jsonl"
    return "json"


def _parses(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def read_json_lines(text: str, path: Path) -> tuple[pl.DataFrame, bool]:
    """One JSON value a line -> frame, whether names are the file's own. Raises DataError with the line number."""
    rows: list[Any] = []
    lines: list[int] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise DataError(f"{path.name}, line {number} is not valid JSON ({error}); {_SHAPE}.") from error
        lines.append(number)
    return _rows(rows, path, [f"line {number}" for number in lines])


def read_json(text: str, path: Path) -> tuple[pl.DataFrame, bool]:
    """A whole JSON document -> frame. An object of splits gives a column `split`."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{path.name}, line {error.lineno} is not valid JSON ({error.msg}); {_SHAPE}.") from error
    if isinstance(value, list):
        return _rows(value, path, None)
    if isinstance(value, dict):
        return _object(value, path)
    raise DataError(f"{path.name} holds one JSON value and no rows; {_SHAPE}.")


def _object(value: dict[str, Any], path: Path) -> tuple[pl.DataFrame, bool]:
    lists = {name: item for name, item in value.items() if isinstance(item, list)}
    of_rows = {name: item for name, item in lists.items() if item and all(isinstance(x, list | dict) for x in item)}
    if of_rows and len(of_rows) == len(lists):
        frames = {name: _rows(rows, path, None) for name, rows in of_rows.items()}
        if len(frames) == 1:
            return next(iter(frames.values()))
        widths = {tuple(frame.columns) for frame, _ in frames.values()}
        if len(widths) > 1 or "split" in next(iter(widths)):
            raise DataError(f"{path.name} holds lists with different columns; {_SHAPE}.")
        merged: dict[str, Sequence[Any]] = {"split": [n for n, (f, _) in frames.items() for _ in range(f.height)]}
        for column in next(iter(widths)):
            merged[column] = [cell for frame, _ in frames.values() for cell in frame[column].to_list()]
        return frame_of(path, merged), next(iter(frames.values()))[1]
    if len(lists) >= 2 and len({len(item) for item in lists.values()}) == 1 and len(lists) == len(value):
        return frame_of(path, dict(lists)), True
    columns = [list(item.values()) for item in value.values() if isinstance(item, dict)]
    if len(columns) == len(value) >= 2 and all(list(item) == list(next(iter(value.values()))) for item in value.values()):
        return frame_of(path, dict(zip(value, columns, strict=True))), True  # pandas' own: {"text": {"0": ..., "1": ...}, ...}
    raise DataError(f"{path.name} is a JSON object whose lists are neither rows nor columns of one length; {_SHAPE}.")


def _rows(rows: list[Any], path: Path, places: list[str] | None) -> tuple[pl.DataFrame, bool]:
    if not rows:
        raise DataError(f"{path.name} holds no rows; {_SHAPE}.")

    def place(index: int) -> str:
        return places[index] if places else f"row {index + 1}"

    kind = dict if isinstance(rows[0], dict) else list
    if not isinstance(rows[0], kind):
        raise DataError(f"{path.name} holds bare values such as {quoted(str(rows[0]), 40)} and no rows; {_SHAPE}.")
    for index, row in enumerate(rows):
        if not isinstance(row, kind):
            raise DataError(
                f"{path.name}, {place(index)} is not {'an object' if kind is dict else 'a list'} like those before it: "
                f"{quoted(json.dumps(row, ensure_ascii=False))}; {_SHAPE}."
            )
    if kind is dict:
        names: dict[str, None] = {}
        for row in rows:
            names.update(dict.fromkeys(row))
        return frame_of(path, {name: [_get(row, name) for row in rows] for name in names}), True
    width = len(rows[0])
    for index, row in enumerate(rows):
        if len(row) != width:
            raise DataError(f"{path.name}, {place(index)} has {len(row)} values where the first has {width}; {_SHAPE}.")
    return frame_of(path, {f"column_{i + 1}": [row[i] for row in rows] for i in range(width)}), False


def _get(row: Mapping[str, Any], name: str) -> Any:
    return row.get(name)
