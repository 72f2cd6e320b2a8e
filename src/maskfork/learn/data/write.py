"""A table to a file, by the ending of its name."""

from __future__ import annotations

from pathlib import Path

import msgspec
import polars as pl

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.nested import flat, typed

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


def check_ending(path: Path) -> None:
    """Raises UsageError for a file that no table is written to."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Lists and objects are such in JSON lines, and JSON text in separated text; in parquet columns of one type of them are such.

    Raises DataError where it cannot be written.
    """
    check_ending(path)
    try:
        match path.suffix.lower():
            case ".csv":
                flat(frame).write_csv(path)
            case ".tsv":
                flat(frame).write_csv(path, separator="\t")
            case ".jsonl":
                with path.open("wb") as file:
                    file.writelines(msgspec.json.encode(row, enc_hook=str) + b"\n" for row in frame.iter_rows(named=True))
            case _:
                typed(frame).write_parquet(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}): name another file") from error
