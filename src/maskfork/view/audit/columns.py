"""What a finding's rows are shown with: their columns, by what they have to say."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskfork.view.words import number, percent

Hit = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """`value(hit)` as words; `user`: a text that a user wrote."""

    title: str
    value: Callable[[Hit], str]
    user: bool = False
    right: bool = False


def columns_of(finding: Mapping[str, Any], files: Sequence[str]) -> list[Column]:
    """Of the rows of a finding, those columns that any of them fills; the text comes last."""
    hits = finding["rows"]
    doubtful = finding["check"] == "label errors"
    known = [
        Column("row", lambda h: place(h["file"], h["row"], files), right=True),
        Column("same as", lambda h: "" if h.get("of_row") is None else place(h["of_file"], h["of_row"], files), right=True),
        Column("label", lambda h: h.get("label") or "", user=True),
        Column("its label", lambda h: h.get("of_label") or "", user=True),
        Column("rather", lambda h: h.get("suggested") or "", user=True),
        Column(
            "wrong by" if doubtful else "measure",
            lambda h: "" if h.get("amount") is None else percent(h["amount"], 0) if doubtful else _plain(h["amount"]),
            right=True,
        ),
        Column("why", lambda h: h.get("why") or "", user=True),
        Column("text", lambda h: h["text"], user=True),
        Column("second text", lambda h: h.get("pair") or "", user=True),
    ]
    return [column for column in known if any(column.value(hit) for hit in hits)]


def place(file: str, row: int, files: Sequence[str]) -> str:
    """`12`, or `test.csv 12` where there are several files."""
    return f"{row:,}" if len(files) < 2 else f"{file} {row:,}"


def _plain(value: float) -> str:
    return number(value, 0 if float(value).is_integer() else 3)
