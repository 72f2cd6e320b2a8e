"""Files to texts and targets: two columns, or two files of lines that belong together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.lists import listed_cell
from maskfork.learn.data.read import read_table, read_text
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import find_roles, mapped
from maskfork.learn.tasks.seq2seq.examples import Rewritten

ROLES = (
    Role(
        "source",
        "the text that is read (a list is joined); --column source=COLUMN",
        ("document", "article", "input", "src", "mr", "meaning_representation", "text", "dialogue", "en"),
    ),
    Role(
        "target",
        "the text to write (a list: several that are right); --column target=COLUMN, or a file of lines beside one of sources",
        ("summary", "highlights", "output", "tgt", "ref", "human_reference", "translation", "reference", "de", "fr"),
    ),
)


def read_rewritten(path: Path, columns: Mapping[str, str]) -> tuple[Rewritten, list[str]]:
    """Rows of one source are one row with several targets; rows without one or the other are left out and counted.

    Where `columns["target"]` is a file, `path` and it are files of lines. Raises DataError.
    """
    beside = columns.get("target")
    if beside is not None and Path(beside).is_file():
        sources, targets, notes = _parallel(path, Path(beside))
    else:
        table = read_table(path, list(columns.values()))
        found = find_roles(table, ROLES, columns)
        notes = [*table.notes, mapped(table, found)]
        sources = [_joined(cell) for cell in table.frame[found["source"]].to_list()]
        targets = [_several(cell) for cell in table.frame[found["target"]].to_list()]
    rows, said = _gathered(sources, targets, path.name)
    return rows, notes + said


def _parallel(path: Path, beside: Path) -> tuple[list[str], list[list[str]], list[str]]:
    first, second = (read_text(p).splitlines() for p in (path, beside))
    if len(first) != len(second):
        raise DataError(
            f"{path.name} has {len(first):,} lines and {beside.name} {len(second):,}: give two files whose lines belong together."
        )
    return first, [[line] for line in second], [f"{path.name} and {beside.name}: {len(first):,} lines of sources and targets."]


def _joined(cell: Any) -> str:
    return " ".join(str(part) for part in listed_cell(cell)).strip()


def _several(cell: Any) -> list[str]:
    return [str(part).strip() for part in listed_cell(cell) if part is not None and str(part).strip()]


def _gathered(sources: list[str], targets: list[list[str]], name: str) -> tuple[Rewritten, list[str]]:
    together: dict[str, list[str]] = {}
    empty = 0
    for source, right in zip(sources, targets, strict=True):
        if not source or not right:
            empty += 1
            continue
        together.setdefault(source, []).extend(right)
    if not together:
        raise DataError(f"{name} has no row with both a source and a target: name the columns with --column.")
    rows = Rewritten(tuple(together), tuple(tuple(dict.fromkeys(right)) for right in together.values()))
    count = sum(map(len, rows.targets))
    notes = [f"{name}: {len(rows):,} sources with {count:,} targets."]
    if empty:
        notes.append(f"{name}: {empty:,} rows without a source or a target are left out.")
    return rows, notes
