"""Separated text: which separator, whether quotes are syntax or just characters, and where a row has the wrong width."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.names import KNOWN, quoted, simplify

_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
_SAMPLE_CHARS = 500_000
_MOST_SAMPLE_LINES = 2_000


@dataclass(frozen=True)
class Cells:
    """Rows of cells; `lines` gives the file's line where each row begins, `fault` why the parse is not to be trusted."""

    rows: list[list[str]]
    lines: list[int]
    mode: str
    fault: str = ""

    @cached_property
    def width(self) -> int:
        return Counter(map(len, self.rows)).most_common(1)[0][0] if self.rows else 0

    @cached_property
    def even(self) -> float:
        """Share of rows that have the commonest width."""
        return Counter(map(len, self.rows))[self.width] / max(1, len(self.rows))

    @property
    def sound(self) -> bool:
        return not self.fault and self.width >= 2 and self.even == 1.0


def sniff(text: str, extension: str) -> str | None:
    """The separator that gives rows of one width, or None.

    Ties go to the one whose first row holds column names that people use, then to the extension's own, then to tab.
    """
    sample = text[:_SAMPLE_CHARS]
    if len(text) > _SAMPLE_CHARS:
        sample = sample[: sample.rfind("\n") + 1] or sample
    sample = "\n".join(sample.split("\n")[:_MOST_SAMPLE_LINES])
    own = {".tsv": "\t", ".tab": "\t", ".csv": ","}.get(extension)
    ranked: list[tuple[float, bool, bool, int, str]] = []
    for order, separator in enumerate("\t,;|"):
        if separator not in sample:
            continue
        tries = [_plain(sample, separator), *([_quoted(sample, separator, strict=False)] if '"' in sample else [])]
        best = max(tries, key=lambda cells: (cells.width >= 2, cells.even, cells.mode == "quoted"))
        if best.width < 2:
            continue
        named = any(simplify(cell.strip('"')) in KNOWN for cell in best.rows[0])
        even = round(best.even, 3)
        if even == 1.0 or even >= (0.3 if own or named else 0.8):
            ranked.append((even if even < 0.99 else 1.0, named, separator == own, -order, separator))
    return max(ranked)[-1] if ranked else None


def parse(text: str, separator: str, path: Path) -> Cells:
    """All rows. Raises DataError that names the line of the first row with another width than the first row."""
    attempts: list[Cells] = []
    for cells in _attempts(text, separator):
        if cells.mode == "plain" and separator != "\t" and attempts and attempts[0].fault and _quoted_column(cells):
            break  # one field is quoted wrongly; as characters the marks would become part of every text
        if cells.sound and (cells.mode == "plain" or separator != "\t" or not _quotes_are_characters(cells, text)):
            return cells
        attempts.append(cells)
    # Tab-separated files seldom quote, so there the plain parse tells more; elsewhere an open quote is the likely cause.
    raise DataError(_explain(attempts[-1] if separator == "\t" else attempts[0], separator, path))


def _attempts(text: str, separator: str) -> Iterator[Cells]:
    if '"' in text:
        yield _quoted(text, separator, strict=True)
        if '\\"' in text:
            yield _quoted(text, separator, strict=True, mode="escaped", doublequote=False, escapechar="\\")
        if separator + ' "' in text:
            yield _quoted(text, separator, strict=True, mode="spaced", skipinitialspace=True)
    yield _plain(text, separator)


def _quotes_are_characters(cells: Cells, text: str) -> bool:
    """Tab-separated files are often written without any quoting, and then a text may begin and end with a quote mark.

    Quotes are syntax if they protect something (a line break or a separator, so that the plain parse is uneven or has
    other columns; a doubled quote) or if a whole column has them.
    """
    plain = _plain(text, "\t")
    if not plain.sound:
        return False
    if len(plain.rows) != len(cells.rows):
        return True
    if plain.width != cells.width:
        return False
    if _quoted_column(plain):
        return False
    return not any('""' in cell[1:-1] for row in plain.rows for cell in row if cell.startswith('"'))


def _quoted_column(plain: Cells) -> bool:
    """Whether nearly all cells of a column stand in quotes."""
    if not plain.sound:
        return False
    marked = [[len(cell) > 1 and cell[0] == cell[-1] == '"' for cell in row] for row in plain.rows[1:] or plain.rows]
    return any(sum(column) >= 0.9 * len(marked) for column in zip(*marked, strict=True))


def _lines(text: str) -> list[str]:
    """Lines by \\n alone: other breaks (U+2028, a lone \\r) may stand inside a text."""
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return text.split("\n")


def _plain(text: str, separator: str) -> Cells:
    rows: list[list[str]] = []
    numbers: list[int] = []
    for number, line in enumerate(_lines(text), start=1):
        line = line.removesuffix("\r")
        if line.strip(" "):
            rows.append(line.split(separator))
            numbers.append(number)
    return Cells(rows, numbers, "plain")


def _quoted(text: str, separator: str, *, strict: bool, mode: str = "quoted", **how: Any) -> Cells:
    rows: list[list[str]] = []
    numbers: list[int] = []
    source = [line + "\n" for line in _lines(text)]
    fault = ""
    begin = 1
    before = csv.field_size_limit(max(len(text), 131_072))  # our own limit is checked, and said, afterwards
    try:
        reader = csv.reader(source, delimiter=separator, strict=strict, **how)
        for row in reader:
            if row and (len(row) > 1 or row[0].strip()):
                rows.append(row)
                numbers.append(begin)
            begin = reader.line_num + 1
    except csv.Error:
        fault = f"line {begin}: a quote opens and is not closed as it should be"
    finally:
        csv.field_size_limit(before)
    return Cells(rows, numbers, mode, fault)


def _explain(cells: Cells, separator: str, path: Path) -> str:
    name = _NAMES[separator]
    if cells.fault:
        return f'{path.name}, {cells.fault}; close it, and write a quote mark inside a quoted field twice ("").'
    if cells.width < 2 and cells.even == 1.0:
        header = quoted(cells.rows[0][0], 40) if cells.rows else "nothing"
        return f"{path.name} has one column alone, {header}: give a file that has the labels in a second one."
    want = len(cells.rows[0]) if cells.even < 1.0 and _named(cells.rows[0]) else cells.width
    index = next(i for i, row in enumerate(cells.rows) if len(row) != want)
    found = len(cells.rows[index])
    begins = quoted(separator.join(cells.rows[index]), 40)
    return (
        f"{path.name}, line {cells.lines[index]} has {found} {name}-separated field{'s' if found != 1 else ''} where "
        f"the other rows have {want} ({begins}); put texts that hold a {name} or a line break in quotes."
    )


def _named(row: list[str]) -> bool:
    return any(simplify(cell) in KNOWN for cell in row)


def has_header(rows: list[list[str]], wanted: list[str]) -> bool:
    """Whether the first row is names.

    Yes if a cell of it is a name that the caller asked for or that people use, and does not come again in its column.
    Else yes only if it is all short, distinct words and stands out: a number column without a number there, a column
    of few values that lacks this one, or one word above a column of long texts.
    """
    first, rest = rows[0], rows[1:]
    names = {*KNOWN, *(simplify(name) for name in wanted)}
    for column, cell in enumerate(first):
        if simplify(cell) in names and not any(row[column] == cell for row in rest):
            return True
    used = [column for column in range(len(first)) if any(row[column].strip() for row in rows)]
    first, rest = [first[column] for column in used], [[row[column] for column in used] for row in rest]
    if len(rest) < 2 or len(set(first)) < len(first):
        return False
    if any(not cell.strip() or len(cell) > 40 or _number(cell) or len(cell.split()) > 3 for cell in first):
        return False
    for column, cell in enumerate(first):
        values = [row[column] for row in rest]
        if all(_number(value) for value in values):
            return True
        if len(rest) >= 20 and len(set(values)) <= len(rest) / 10 and cell not in values:
            return True
        if len(cell.split()) == 1 and sorted(len(value.split()) for value in values)[len(values) // 10] >= 5:
            return True
    return False


def _number(cell: str) -> bool:
    return re.fullmatch(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", cell) is not None


def header_names(first: list[str]) -> tuple[list[str], list[str]]:
    """Names made unique (`text`, `text_2`), and the sentences about those that were changed."""
    names: list[str] = []
    notes: list[str] = []
    for position, cell in enumerate(first, start=1):
        name = cell.strip() or f"column_{position}"
        if name in names:
            number = 2
            while f"{name}_{number}" in names:
                number += 1
            notes.append(f"The column name {quoted(name)} stands twice: the second is called {quoted(f'{name}_{number}')}.")
            name = f"{name}_{number}"
        names.append(name)
    return names, notes
