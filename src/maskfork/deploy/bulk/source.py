"""A file of rows in windows: parquet, separated text and JSON lines as a stream, other files whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.delimited import has_header, header_names, parse, sniff
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table, frame_of, refuse_long_fields
from maskfork.learn.data.unlabelled import bare_texts

#: characters of a text file that tell its separator, its header and its quoting
HEAD = 1_000_000


@dataclass(frozen=True)
class Window:
    """Some rows: their columns, and for JSON lines the rows as they were written."""

    frame: pl.DataFrame
    objects: list[dict[str, Any]] | None = None


class Source(Protocol):
    """`rows` is how many the file has; `notes` are full sentences on how it is read."""

    path: Path
    rows: int
    notes: list[str]

    def windows(self, size: int, first: int = 0) -> Iterator[Window]:
        """Windows of `size` rows from number `first` on, the last one smaller. Raises DataError."""
        ...


def open_source(path: Path, wanted: list[str]) -> Source:
    """`wanted`: columns that will be asked for. Raises DataError."""
    if path.suffix.lower() == ".parquet" and path.is_file():
        return Scanned(path, pl.scan_parquet(path))
    if path.suffix.lower() in (".jsonl", ".ndjson") and path.is_file() and not _wide(path):
        return JsonLines(path)
    separated: Scanned | None = None
    fault: DataError | None = None
    try:
        separated = _separated(path, wanted) if path.suffix.lower() in (".csv", ".tsv", ".tab") and path.is_file() else None
    except DataError as error:
        fault = error
    if separated is not None:
        return separated
    if path.is_file() and (bare := bare_texts(path, wanted[0] if wanted else None)) is not None:
        return Whole(Table(path, pl.DataFrame({bare.column: bare.texts}), "texts", "", True, (bare.why,)))
    if fault is not None:
        raise fault
    return Whole(read_table(path, wanted))


class Scanned:
    """What polars reads as a stream."""

    def __init__(self, path: Path, scan: pl.LazyFrame) -> None:
        self.path, self.scan = path, scan
        self.notes: list[str] = []
        try:
            self.rows = int(scan.select(pl.len()).collect().item())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(path, error) from error

    def windows(self, size: int, first: int = 0) -> Iterator[Window]:
        waiting: pl.DataFrame | None = None
        try:
            for part in self.scan.slice(first * size).collect_batches(chunk_size=size, maintain_order=True):
                waiting = part if waiting is None else pl.concat([waiting, part])
                while waiting.height >= size:
                    yield self._window(waiting.head(size))
                    waiting = waiting.slice(size)
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _damaged(self.path, error) from error
        if waiting is not None and waiting.height:
            yield self._window(waiting)

    def _window(self, frame: pl.DataFrame) -> Window:
        refuse_long_fields(self.path, frame)
        return Window(frame)


class JsonLines:
    """An object a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.notes: list[str] = []
        with path.open("rb") as file:
            self.rows = sum(1 for line in file if line.strip())

    def windows(self, size: int, first: int = 0) -> Iterator[Window]:
        with self.path.open("rb") as file:
            filled = ((number, line) for number, line in enumerate(file, 1) if line.strip())
            lines = islice(filled, first * size, None)
            while part := list(islice(lines, size)):
                objects = [self._object(number, line) for number, line in part]
                names = dict.fromkeys(name for row in objects for name in row)
                yield Window(frame_of(self.path, {name: [row.get(name) for row in objects] for name in names}), objects)

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            found = json.loads(line)
        except ValueError as error:
            raise DataError(f"{self.path.name}, line {number} is not valid JSON ({error}): give one object a line") from error
        if not isinstance(found, dict):
            raise DataError(f"{self.path.name}, line {number} is no object: give one object a line")
        return found


class Whole:
    """Any other file, in memory."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.path, self.rows = table.path, table.frame.height
        self.notes = [
            *self.table.notes,
            f"{table.path.name} is read whole: parquet, plain csv and JSON lines are read as a stream.",
        ]

    def windows(self, size: int, first: int = 0) -> Iterator[Window]:
        for start in range(first * size, self.rows, size):
            yield Window(self.table.frame.slice(start, size))


def _wide(path: Path) -> bool:
    """Whether a character is more than a byte there, as in UTF-16, so that lines end elsewhere."""
    with path.open("rb") as file:
        return b"\0" in file.read(HEAD)


def _separated(path: Path, wanted: list[str]) -> Scanned | None:
    """None where the file's beginning needs the careful reader: other encodings, gzip, unusual quoting, nothing in it."""
    with path.open("rb") as file:
        raw = file.read(HEAD)
        more = bool(file.read(1))
    cut = raw.rfind(b"\n") + 1 if more else len(raw)
    try:
        head = raw[:cut].decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    separator = sniff(head, path.suffix.lower())
    if separator is None or head.startswith("sep=") or "\0" in head:
        return None
    try:
        cells = parse(head, separator, path)
    except DataError:
        if more:  # a quoted cell may go on behind the beginning: the whole file tells
            return None
        raise
    header = has_header(cells.rows, wanted)
    if cells.mode not in ("plain", "quoted") or len(cells.rows) == header:
        return None
    names, notes = header_names(cells.rows[0]) if header else ([f"column_{i + 1}" for i in range(cells.width)], [])
    scan = pl.scan_csv(
        path, separator=separator, has_header=header, new_columns=names, infer_schema=False, empty_string_is_null=False,
        quote_char='"' if cells.mode == "quoted" else None,
    )  # fmt: skip
    found = Scanned(path, scan)
    found.notes += notes
    if not header:
        found.notes.append(f"{path.name} has no header: its columns are called column_1 to column_{cells.width}.")
    return found


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(str(error).split())[:200]
    return DataError(f"{path.name} cannot be read to its end ({reason}): write it again, or as parquet")
