"""Whether a model keeps its masks, as a table in a terminal: the layers that say the same share a row."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskfork.models.maskcheck import Finding, MaskReport
from maskfork.view.explain import rule_words, spans
from maskfork.view.words import count, listing

NAMED = 5
"""Differences that are written out."""


def report_text(report: MaskReport) -> RenderableType:
    """What was changed, what moved, and the verdict."""
    parts: list[RenderableType] = [Text(_first_line(report), style="bold"), Text(), _table(report.findings), Text()]
    wrong = [f for f in report.findings if f.leaks or f.lost]
    if report.kept:
        parts.append(Text("Kept: whatever the rules let through arrives, and nothing else does.", style="green"))
    for finding in wrong[:NAMED]:
        parts.append(Text(f"{finding.name}: {finding.differences[0]}", style="red"))
    if wrong:
        sums = [f"{count(sum(getattr(f, k) for f in wrong))} {w}" for k, w in (("leaks", "leaked"), ("lost", "lost"))]
        parts.append(Text(f"Not kept: {listing(sums)}.", style="bold red"))
    parts += [Text(f"Note: {note}.", style="dim") for note in report.notes]
    return Group(*parts)


def _first_line(report: MaskReport) -> str:
    read = f"{_texts(report.source_lengths)} read and " if report.source_lengths else ""
    done = " written" if report.source_lengths else ""
    return f"{report.family}, {report.fork}: {read}{_texts(report.lengths)}{done}, {report.layout}; one place changed at a time"


def _texts(lengths: Sequence[int]) -> str:
    if len(lengths) == 1:
        return f"one text of {lengths[0]} tokens"
    if len(set(lengths)) == 1:
        return f"{len(lengths)} texts of {lengths[0]} tokens"
    return f"{len(lengths)} texts of {min(lengths)} to {max(lengths)} tokens"


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for title in ("changed and seen in", "rule", "may move", "moved", "leaks", "lost"):
        table.add_column(title, justify="left" if title in ("changed and seen in", "rule") else "right", overflow="fold")
    alike: dict[tuple[str, tuple[object, ...]], list[Finding]] = {}
    for one in findings:
        alike.setdefault((_layer(one.name)[0], (one.rule, one.may, one.moved, one.leaks, one.lost)), []).append(one)
    for (name, _), ones in alike.items():
        numbers = [n for n in (_layer(one.name)[1] for one in ones) if n is not None]
        first = ones[0]
        words = name.replace("#", spans(numbers))
        if len(numbers) > 1:
            words = words.replace("layer ", "layers ")
        each = " each" if len(ones) > 1 else ""
        style = "red" if first.leaks or first.lost else ""
        cells = [count(first.may) + each, count(first.moved), count(first.leaks), count(first.lost)]
        table.add_row(Text(words, style=style), rule_words(first.rule), *cells)
    return table


def _layer(name: str) -> tuple[str, int | None]:
    """("decoder layer #", 3) of "decoder layer 3"."""
    found = re.search(r"(?<=layer )\d+", name)
    return (name, None) if found is None else (name[: found.start()] + "#" + name[found.end() :], int(found[0]))
