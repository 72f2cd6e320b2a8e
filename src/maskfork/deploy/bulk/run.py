"""A file through a model: windows are asked in order and kept, then written as one file in the rows' own order.

Inside a window the model sorts its texts by length and packs them by a budget of tokens; a window is what is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from maskfork import __version__
from maskfork.deploy.bulk.parts import Parts
from maskfork.deploy.bulk.source import Source
from maskfork.errors import DataError
from maskfork.learn.data.read import ROWS
from maskfork.learn.data.table import Table, typed_frame

#: rows of a window: enough texts of each length for full batches
WINDOW = 4096

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Asked:
    """How a model is asked: what it takes of a table's columns, found once, and its answers to rows."""

    rows: Callable[[Table], Callable[[Table], list[dict[str, Any]]]]
    answer: Callable[[Rows], list[dict[str, Any]]]


@dataclass(frozen=True)
class Done:
    """`kept` rows had been answered by an earlier run; `cut` texts lost `lost` tokens."""

    file: Path
    rows: int
    kept: int
    cut: int
    lost: int


def predict_file(
    source: Source,
    out: Path,
    asked: Asked,
    plan: Mapping[str, Any],
    *,
    window: int = WINDOW,
    moved: Callable[[int], None] = lambda rows: None,
) -> Done:
    """Write all columns of `source` with the answers beside them to `out`, by its ending.

    `plan` says what is asked (model, columns); with the file's own name, size and time it decides whether the parts of an
    earlier run are gone on with. An answer whose name is a column's already is called predicted_NAME. Raises DataError,
    UsageError.
    """
    if source.rows == 0:
        raise DataError(f"{source.path.name} holds no rows; {ROWS}.")
    stat = source.path.stat()
    file = {"name": source.path.name, "bytes": stat.st_size, "time": stat.st_mtime_ns, "rows": source.rows}
    parts = Parts(out, {**plan, "file": file, "window": window, "ending": out.suffix.lower(), "maskfork": __version__})
    first = parts.done
    kept = min(first * window, source.rows)
    moved(kept)
    begin = _table(source, next(iter(source.windows(window))).frame)  # its columns tell, also where it is kept
    take = asked.rows(begin)
    for number, part in enumerate(source.windows(window, first), first):
        missing = [pl.lit(None).alias(name) for name in begin.columns if name not in part.frame.columns]
        parts.add(number, part.frame, part.objects, asked.answer(take(_table(source, part.frame.with_columns(missing)))))
        moved(part.frame.height)
    cut, lost = parts.lost
    parts.finish()
    return Done(out, source.rows, kept, cut, lost)


def _table(source: Source, frame: pl.DataFrame) -> Table:
    return Table(source.path, typed_frame(source.path, frame), source.path.suffix, "", True)
