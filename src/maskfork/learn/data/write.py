"""A table to a file, by the ending of its name."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from maskfork.errors import DataError, UsageError

ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")


def check_ending(path: Path) -> None:
    """Raises UsageError for a file that no table is written to."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path} must end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")


def write_table(frame: pl.DataFrame, path: Path) -> None:
    """Lists and objects, which the reader keeps as JSON text, stay such text. Raises DataError where it cannot be written."""
    check_ending(path)
    try:
        match path.suffix.lower():
            case ".csv":
                frame.write_csv(path)
            case ".tsv":
                frame.write_csv(path, separator="\t")
            case ".jsonl":
                frame.write_ndjson(path)
            case _:
                frame.write_parquet(path)
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror or error}): name another file") from error
