"""A file becomes a table: found by its content, helped by its extension, with all that was assumed said aloud."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data import conll, delimited, jsons, lines
from maskfork.learn.data.encoding import decode
from maskfork.learn.data.names import quoted
from maskfork.learn.data.table import Table, frame_of, typed_frame

_KINDS = "csv, tsv, json lines, json or parquet"
ROWS = "give a file with a row for every text, and with its label where labels are learnt or scored"
_SEPARATED = (".csv", ".tsv", ".tab")
_FOREIGN = (  # first bytes -> what it is, for a better sentence than "binary file"
    (b"PK\x03\x04", "an Excel workbook or a zip archive", "export the sheet as csv, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "export the sheet as csv"),
    (b"%PDF", "a PDF", "export its rows as csv"),
    (b"ARROW1", "an Arrow file", "save it as parquet"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it or use gzip"),
    (b"BZh", "compressed with bzip2", "unpack it or use gzip"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it or use gzip"),
    (b"version https://git-lfs", "a pointer of Git LFS and not the file", "fetch it with git lfs pull"),
)


def read_table(path: str | Path, wanted: list[str] | None = None) -> Table:
    """Read csv, tsv, json lines, json, parquet, CoNLL columns, `label text` or fastText lines; any of them gzipped.

    `wanted` are column names that the caller will ask for; they help to know a header. Rows keep their order; row i of
    the frame is data row i of the file (the header and blank lines are not counted). Raises DataError.
    """
    path = Path(path)
    data = _bytes(path)
    extension = path.suffix.lower()
    zipped = data.startswith(b"\x1f\x8b")
    if zipped:
        data = _unzip(data, path)
        extension = Path(path.stem).suffix.lower() if extension == ".gz" else extension
    if data.startswith(b"PAR1"):
        return _parquet(data, path)
    for magic, what, cure in _FOREIGN:
        if data.startswith(magic):
            raise DataError(f"{path.name} is {what}; {cure} (maskfork reads {_KINDS}).")
    decoded = decode(data, path)
    if not decoded.text.strip():
        raise DataError(f"{path.name} is empty; {ROWS}.")
    table = _text(decoded.text, path, extension, wanted or [])
    return Table(path, table.frame, table.format, decoded.encoding, table.header, (*decoded.notes, *table.notes))


def read_text(path: str | Path) -> str:
    """A text file whole, unzipped where it is gzipped. Raises DataError."""
    path = Path(path)
    data = _bytes(path)
    return decode(_unzip(data, path) if data.startswith(b"\x1f\x8b") else data, path).text


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
        hint = f", for instance {path / inside[0]}" if inside else ""
        raise DataError(f"{path} is a folder; name one file in it{hint}.")
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        parent = path.parent
        if not parent.is_dir():
            raise DataError(f"No such file: {path} (there is no folder {parent}); check the path.") from error
        near = get_close_matches(path.name, [p.name for p in parent.iterdir() if p.is_file()], n=1, cutoff=0.5)
        hint = f"did you mean {parent / near[0]}?" if near else "check the path."
        raise DataError(f"No such file: {path}; {hint}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions and that it is a file.") from error
    if not data:
        raise DataError(f"{path.name} is empty; {ROWS}.")
    return data


def _unzip(data: bytes, path: Path) -> bytes:
    try:
        return gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path.name} is a damaged gzip file ({error}); compress it again.") from error


def _parquet(data: bytes, path: Path) -> Table:
    try:
        frame = pl.read_parquet(io.BytesIO(data))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path.name} is a damaged parquet file ({reason}); write it again.") from error
    if frame.height == 0 or frame.width == 0:
        raise DataError(f"{path.name} holds no rows; {ROWS}.")
    return Table(path, typed_frame(path, frame), "parquet", "parquet", True)


def _text(text: str, path: Path, extension: str, wanted: list[str]) -> Table:
    jsonish = "jsonl" if extension in (".jsonl", ".ndjson") else jsons.looks_like_json(text)
    if extension == ".json" and jsonish is None:
        jsonish = "json"
    if jsonish == "jsonl":
        frame, header = jsons.read_json_lines(text, path)
        return Table(path, frame, "json lines", "", header)
    if jsonish == "json":
        frame, header = jsons.read_json(text, path)
        return Table(path, frame, "json", "", header)
    if lines.is_fasttext(text):
        return Table(path, lines.read_label_lines(text, path), "fastText lines", "", True)
    if conll.is_conll(text, extension):
        frame, notes = conll.read_conll(text, path)
        return Table(path, frame, "CoNLL columns", "", False, notes)
    told = re.match(r"sep=([,;|\t])\r?\n", text)  # Excel's own first line
    if told:
        return _separated(text[told.end() :], told[1], path, wanted, first_line=2)
    separator = delimited.sniff(text, extension)
    if separator is not None:
        return _separated(text, separator, path, wanted)
    if extension not in _SEPARATED and lines.is_label_lines(text):
        said = f"{path.name} is read as lines of a label, a blank and a text."
        return Table(path, lines.read_label_lines(text, path), "label lines", "", True, (said,))
    first = quoted(text.strip().split("\n", 1)[0], 40)
    raise DataError(
        f"{path.name} has one column (its first line is {first}), so no text beside a label; give {_KINDS} with both."
    )


def _separated(text: str, separator: str, path: Path, wanted: list[str], first_line: int = 1) -> Table:
    cells = delimited.parse("\n" * (first_line - 1) + text, separator, path)  # blank lines keep the line numbers right
    header = delimited.has_header(cells.rows, wanted)
    notes: list[str] = []
    if header:
        names, notes = delimited.header_names(cells.rows[0])
    else:
        names = [f"column_{i + 1}" for i in range(cells.width)]
        notes = [f"{path.name} has no header: its columns are called column_1 to column_{cells.width}."]
    body = cells.rows[1:] if header else cells.rows
    if not body:
        raise DataError(f"{path.name} holds a header and no rows; {ROWS}.")
    if cells.mode == "plain" and any(cell.startswith('"') for row in body for cell in row):
        notes.append(f"{path.name} is read without quoting: quote marks are part of the text.")
    if cells.mode == "escaped":
        notes.append(f'{path.name} writes a quote mark inside quotes as \\" and is read so.')
    columns = dict(zip(names, zip(*body, strict=True), strict=True))
    kind = {"\t": "tsv", ",": "csv"}.get(separator, f"csv with {separator!r}")
    return Table(path, frame_of(path, columns), kind, "", header, tuple(notes))
