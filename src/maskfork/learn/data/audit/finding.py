"""What a check found, as plain values for the terminal, JSON and the page."""

from __future__ import annotations

from typing import Literal

import msgspec

Level = Literal["problem", "warning", "note"]
LEVELS: tuple[Level, ...] = ("problem", "warning", "note")
EXCERPT = 240  # characters of a text that a finding shows


class Hit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row that a check points at. `row` counts the data rows of `file` from 1 (a header is none)."""

    file: str
    row: int
    text: str
    pair: str | None = None
    label: str | None = None
    of_file: str | None = None  # the other row that it copies or contradicts
    of_row: int | None = None
    of_label: str | None = None
    suggested: str | None = None  # the label that it should rather have
    probability: float | None = None  # of the label it has, by models that never saw the row
    suggested_probability: float | None = None
    amount: float | None = None  # tokens lost, similarity: what the check's title says
    why: str | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of trouble: `count` rows in `total`. `title` is a full sentence, `advice` says what to do."""

    check: str
    level: Level
    title: str
    advice: str
    count: int
    total: int
    rows: list[Hit]
    names: dict[str, int] = {}  # for labels: name -> rows


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The whole audit. `passed` names the checks that found nothing; `skipped` says why one could not be made."""

    files: list[str]
    rows: int
    train: int
    test: int
    text_column: str
    pair_column: str | None
    label_column: str | None
    labels: dict[str, int]
    notes: list[str]
    findings: list[Finding]
    passed: dict[str, str]
    skipped: dict[str, str]
    seconds: float
    model: str | None = None


def told(count: int, noun: str, one: str, many: str) -> str:
    """`told(2, "row", "has", "have")` is "2 rows have"."""
    return f"{count:,} {noun} {one}" if count == 1 else f"{count:,} {noun}s {many}"
