"""The audit in the terminal: what is wrong, worst first, with a few rows each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskfork.view.audit.columns import columns_of
from maskfork.view.table import plain
from maskfork.view.words import clip, count, listing

SIGNS = {"problem": ("✗", "red"), "warning": ("!", "yellow"), "note": ("·", "cyan")}


def audit_text(report: Mapping[str, Any], width: int = 100, most: int = 5) -> RenderableType:
    """The report in at most `width` cells, `most` rows of each finding."""
    parts: list[RenderableType] = [plain(headline(report), "bold"), plain(about(report), "dim")]
    for finding in report["findings"]:
        sign, style = SIGNS[finding["level"]]
        parts += [Text(), Text(f"{sign} ", style=style).append_text(plain(finding["title"], "bold"))]
        if finding["rows"]:
            parts.append(_rows(finding, report["files"], width, most))
        parts.append(plain(f"  → {finding['advice']}"))
    if report["passed"]:
        parts += [Text(), plain(f"✓ {'; '.join(report['passed'].values())}.", "green")]
    reasons: dict[str, list[str]] = {}
    for name, why in report["skipped"].items():
        reasons.setdefault(why, []).append(name)
    parts += [plain(f"Not looked for: {listing(names)}: {why}.", "dim") for why, names in reasons.items()]
    parts += [plain(note, "dim") for note in report["notes"]]
    return Group(*parts)


def headline(report: Mapping[str, Any]) -> str:
    """One sentence: how much is wrong."""
    levels = [finding["level"] for finding in report["findings"]]
    told = [f"{levels.count(level)} {level}{'s' if levels.count(level) != 1 else ''}" for level in SIGNS if level in levels]
    rows = f"{count(report['rows'])} row{'s' if report['rows'] != 1 else ''}"
    return f"{rows}: {listing(told)}." if told else f"{rows}: nothing found."


def about(report: Mapping[str, Any]) -> str:
    """Files, sides, labels, and with what it was looked at."""
    sides = f"{count(report['train'])} train, {count(report['test'])} test" if report["test"] else "no test side"
    labels = f"{len(report['labels']):,} labels" if report["labels"] else "no classes"
    model = f", with {report['model']}" if report.get("model") else ""
    counted = "rows are counted from 1, without the header"
    return f"{listing(report['files'])}: {sides}, {labels}{model}; {report['seconds']:.1f} s; {counted}."


def _rows(finding: Mapping[str, Any], files: list[str], width: int, most: int) -> Table:
    shown = finding["rows"][:most]
    columns = columns_of({**finding, "rows": shown}, files)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, caption_justify="left", caption_style="dim")
    taken = 4
    for column in columns:
        cells = [column.value(hit) for hit in shown]
        if column.title in ("text", "second text"):
            table.add_column(column.title, no_wrap=True)
            continue
        cells = [clip(cell, 30) for cell in cells]
        taken += max(map(cell_len, [*cells, column.title])) + 1
        table.add_column(column.title, justify="right" if column.right else "left", no_wrap=True)
    texts = sum(column.title in ("text", "second text") for column in columns) or 1
    room = max(16, (width - taken) // texts - 1)
    for hit in shown:
        table.add_row(*(plain(clip(c.value(hit), room if c.title in ("text", "second text") else 30)) for c in columns))
    if len(finding["rows"]) > most:
        table.caption = f"{len(finding['rows']) - most:,} more: --json and --html have them all"
    return table
