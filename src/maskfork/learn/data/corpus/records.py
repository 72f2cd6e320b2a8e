"""Documents in rows: jsonl, parquet, and tables small enough for memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
import polars as pl

from maskfork.errors import DataError
from maskfork.learn.data.corpus.sources import Source
from maskfork.learn.data.corpus.texts import decoded, lines
from maskfork.learn.data.names import TEXT, listed, simplify, suggestion
from maskfork.learn.data.unlabelled import read_texts

SLICE = 16 << 20  # bytes of text that a parquet file is read at a time


def find_field(columns: list[str], given: str | None, source: Source) -> str:
    """The field of the texts: the caller's, else by its name. Raises DataError."""
    if given is not None:
        if given in columns:
            return given
        raise DataError(f"{source.name} has no field {given!r}{suggestion(given, columns)} (it has {listed(columns)})")
    for known in TEXT:
        for name in columns:
            if simplify(name) == known:
                return name
    raise DataError(f"{source.name} has no field of texts by its name (it has {listed(columns)}): name it with --text")


def read_jsonl(source: Source, field: str | None, encoding: str | None) -> Iterator[str]:
    """The field of every line; a line without it is an error, a null is an empty text."""
    decoder = msgspec.json.Decoder(dict[str, Any])
    name: str | None = None
    for number, line in enumerate(lines(decoded(source, encoding)), start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeEncodeError) as error:
            raise DataError(
                f'{source.name}, line {number:,} is no JSON object ({error}): give {{"text": "..."}} a line'
            ) from error
        if name is None:
            name = find_field([key for key, value in row.items() if field or isinstance(value, str)], field, source)
        if name not in row or not isinstance(row[name], str | None):
            what = "has no" if name not in row else "has no text in its"
            raise DataError(f"{source.name}, line {number:,} {what} field {name!r}: put it right, or name another with --text")
        yield row[name] or ""


def read_parquet(source: Source, field: str | None) -> Iterator[str]:
    """The column of texts, some rows at a time, so that memory is bounded by the file's own row groups."""
    try:
        frame = pl.scan_parquet(source.path)
        schema = frame.collect_schema()
        texts = [name for name, kind in schema.items() if kind == pl.String]
        name = find_field(texts, field, source)
        start, rows = 0, 64
        while True:
            values = frame.select(name).slice(start, rows).collect()[name]
            yield from (value or "" for value in values.to_list())
            if len(values) < rows:
                return
            start += rows
            mean = max(int(values.estimated_size()) / rows, 1.0)
            rows = int(min(max(SLICE / mean, 16), 1 << 18))
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{source.name} is a damaged parquet file ({reason}): write it again") from error


def read_small_table(source: Source, field: str | None) -> Iterator[str]:
    """csv, tsv or a JSON array, read whole as `maskfork predict` reads it."""
    texts, _, _ = read_texts(source.path, text=field)
    yield from texts
