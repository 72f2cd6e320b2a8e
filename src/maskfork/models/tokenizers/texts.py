"""Texts out of files, one after the other, in memory that stays flat: plain text, json lines and parquet, compressed or not."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from maskfork.errors import DataError

BLOCK = 1 << 16
"""Plain text is cut into pieces of about so many characters, at the end of a line, else at a blank."""

Moved = Callable[[int], None]
"""Told how many bytes of the files have been read since the last time."""

_OPENERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ", lzma.LZMAFile),
)


def size_of(files: Sequence[str | Path]) -> int:
    """Bytes on disk. Raises DataError where a file is missing, a folder, or empty."""
    total = 0
    for name in files:
        path = Path(name)
        if path.is_dir():
            raise DataError(f"{path} is a folder: name the files in it, for instance {path}/*.txt")
        if not path.is_file():
            raise DataError(f"there is no file {path}: check its name")
        if path.stat().st_size == 0:
            raise DataError(f"{path} is empty: leave it out")
        total += path.stat().st_size
    return total


def stream(files: Sequence[str | Path], column: str = "text", moved: Moved | None = None) -> Iterator[str]:
    """Texts of all files in order. `column` names the text of json lines and parquet. Raises DataError."""
    for name in files:
        yield from _texts(Path(name), column, moved or (lambda count: None))


def rows(files: Sequence[str | Path], column: str = "text", moved: Moved | None = None) -> Iterator[str]:
    """As `stream`, with plain text line by line: what one would give to a model as one text. Empty ones are left out."""
    for name in files:
        rest = ""
        lined = not _is_table(Path(name))
        for text in stream([name], column, moved):
            if not lined:
                yield text
                continue
            *whole, rest = (rest + text).split("\n")
            yield from (line.rstrip("\r") for line in whole if line.strip())
        if rest.strip():
            yield rest


def _is_table(path: Path) -> bool:
    """Whether a file holds rows of its own: parquet, or json lines by name."""
    with path.open("rb") as raw:
        return raw.read(4) == b"PAR1" or bool({".jsonl", ".ndjson", ".json"} & set(path.suffixes))


def _texts(path: Path, column: str, moved: Moved) -> Iterator[str]:
    with path.open("rb") as raw:
        head = raw.read(8)
        raw.seek(0)
        if head.startswith(b"PAR1"):
            yield from _parquet(path, column)
            moved(path.stat().st_size)
            return
        if head.startswith(b"\x28\xb5\x2f\xfd"):
            raise DataError(f"{path} is compressed with zstd: unpack it, or compress it with gzip")
        opener = next((o for magic, o in _OPENERS if head.startswith(magic)), None)
        plain: IO[bytes] = opener(raw) if opener is not None else raw
        jsons = _is_table(path)
        at = 0
        try:
            for text in _json_lines(plain, path, column) if jsons else _blocks(plain):
                yield text
                moved(raw.tell() - at)
                at = raw.tell()
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is no UTF-8 text ({error.reason} at byte {error.start}): convert it") from error
        except (OSError, EOFError, lzma.LZMAError) as error:
            raise DataError(f"{path} is damaged or cut off ({error}): compress it again") from error
        moved(path.stat().st_size - at)


def _blocks(plain: IO[bytes]) -> Iterator[str]:
    reader = io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")
    rest = ""
    while more := reader.read(BLOCK):
        rest += more
        cut = rest.rfind("\n") + 1 or rest.rfind(" ")
        if cut > 0:
            yield rest[:cut]
            rest = rest[cut:]
        elif len(rest) > 16 * BLOCK:  # a text without blanks
            yield rest
            rest = ""
    if rest:
        yield rest
    reader.detach()


def _json_lines(plain: IO[bytes], path: Path, column: str) -> Iterator[str]:
    for number, line in enumerate(plain, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"line {number} of {path} is no JSON ({error}): json lines hold one object a line") from error
        text = row if isinstance(row, str) else row.get(column) if isinstance(row, dict) else None
        if not isinstance(text, str):
            have = ", ".join(map(repr, row)) if isinstance(row, dict) else "no object"
            raise DataError(f"line {number} of {path} has no text in {column!r} (it has {have}): name it with --column")
        yield text


def _parquet(path: Path, column: str) -> Iterator[str]:
    import polars as pl

    try:
        frame = pl.scan_parquet(path)
        names = frame.collect_schema().names()
        if column not in names:
            raise DataError(f"{path} has no column {column!r} (it has {', '.join(map(repr, names))}): name it with --column")
        rows = frame.select(pl.len()).collect().item()
        for start in range(0, rows, 4096):
            yield from frame.select(pl.col(column).cast(pl.String)).slice(start, 4096).collect()[column].drop_nulls()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(f"{path} is a damaged parquet file ({' '.join(str(error).split())}): write it again") from error
