"""The comparison in the terminal when it is done: contenders, differences, recommendation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from maskfork.view.reading import Contender, Facts, Range, read_report
from maskfork.view.report.recommend import difference_sentence, headline, limits_in_words
from maskfork.view.words import (
    MISSING,
    clip,
    count,
    listing,
    megabytes,
    milliseconds,
    number,
    p_value,
    percent,
    points,
    points_range,
    rate,
    significant,
)

_NAME_LEAST = 26  # a name that is cut shorter says nothing


@dataclass(frozen=True)
class _Column:
    """`rank` says who leaves first where there is no room: the highest."""

    title: str
    rank: int
    shown: Callable[[Contender], str]


_COLUMNS = (
    _Column("accuracy", 0, lambda c: _with_range(c.accuracy, c.accuracy_ci)),
    _Column("macro-F1", 5, lambda c: _with_range(c.macro_f1, c.macro_f1_ci)),
    _Column("ECE", 6, lambda c: number(c.ece, 3)),
    _Column("p50", 7, lambda c: milliseconds(c.p50)),
    _Column("p99", 2, lambda c: milliseconds(c.p99)),
    _Column("texts/s", 4, lambda c: rate(c.throughput).removesuffix("/s")),
    _Column("memory", 3, lambda c: megabytes(c.memory_mb)),
    _Column("disk", 8, lambda c: megabytes(c.disk_mb)),
    _Column("per million", 1, lambda c: significant(c.cost)),
)


def result_table(report: Mapping[str, Any], width: int = 100) -> Table:
    """The contenders, best first, in at most `width` cells. Columns that nobody measured vanish, then the least needed.

    The recommended row is marked ▶, a row that breaks a constraint ✗; below the table stand which, and who did not run.
    """
    facts = read_report(report)
    contenders = facts.contenders
    # The budget gets a column of its own where every name is its series with its budget.
    split = bool(contenders) and all(c.name == f"{c.series} @ {c.budget}" for c in contenders)
    names = [c.series if split else c.name for c in contenders]
    columns = [c for c in _COLUMNS if any(c.shown(x) != MISSING for x in contenders)] or [_COLUMNS[0]]
    if split:
        columns.insert(0, _Column("rows", -1, lambda c: count(c.budget)))

    def room(kept: list[_Column]) -> int:
        widths = [max([cell_len(k.title), *(cell_len(k.shown(c)) for c in contenders)]) for k in kept]
        return width - 3 - sum(w + 2 for w in widths) - 2  # the sign in front, two cells between columns

    wanted = max([cell_len("contender"), *(cell_len(n) for n in names)])
    while len(columns) > 1 and room(columns) < min(wanted, _NAME_LEAST):
        columns.remove(max(columns, key=lambda k: k.rank))
    name_room = max(8, min(wanted, room(columns)))
    table = _table()
    table.add_column("", no_wrap=True)
    table.add_column("contender", max_width=name_room, overflow="fold")
    for column in columns:
        table.add_column(column.title, justify="right", no_wrap=True)
    for c, name in zip(contenders, names, strict=True):
        sign = Text("▶", style="green") if c.name == facts.winner else Text("" if c.within else "✗", style="red")
        cells = [Text(k.shown(c)) for k in columns]
        shown = plain(clip(name, 2 * name_room))
        table.add_row(sign, shown, *cells, style="bold" if c.name == facts.winner else None)
    table.caption = _below(facts)
    table.caption_justify = "left"
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, caption_style="")


def _below(facts: Facts) -> Text | None:
    """Which constraints are broken, said once for those that break the same ones; and what did not run."""
    reasons: dict[str, list[str]] = {}
    for c in facts.contenders:
        if not c.within:
            why = "; ".join(b.rstrip(".") for b in c.broken) or "breaks a constraint"
            reasons.setdefault(why, []).append(c.name)
    lines = [plain(f"✗ {listing(names)}: {why}.", "red") for why, names in reasons.items()]
    lines += [plain(f"Not run: {name}: {why}", "dim") for name, why in facts.not_run]
    return Text("\n").join(lines) if lines else None


def pairs_table(report: Mapping[str, Any], width: int = 100, most: int = 10) -> Table:
    """The first `most` differences in at most `width` cells, the winner's first."""
    facts = read_report(report)
    table = _table()
    table.add_column("first minus second", overflow="fold")
    table.add_column("points (95 %)", justify="right", no_wrap=True)
    wide = width >= 100
    if wide:
        table.add_column("McNemar", justify="right", no_wrap=True)
    table.add_column("Holm p", justify="right", no_wrap=True)
    table.add_column("so", overflow="fold", max_width=28 if wide else 14)
    for pair in sorted(facts.pairs, key=lambda p: facts.winner not in (p.a, p.b))[:most]:
        better = pair.better if pair.separated and pair.better is not None else None
        cells = [plain(f"{pair.a} − {pair.b}"), Text(f"{points(pair.difference)} ({points_range(pair.ci)})")]
        if wide:
            cells.append(Text(p_value(pair.mcnemar_p)))
        side = None if better is None else "first better" if better == pair.a else "second better"
        cells += [Text(p_value(pair.holm_p)), Text(side or "cannot tell", style="green" if side else "yellow")]
        table.add_row(*cells)
    return table


def recommendation_panel(report: Mapping[str, Any]) -> Panel:
    """The recommendation sentence first, the difference with its interval, and what is not certain."""
    facts = read_report(report)
    lines = [plain(headline(facts), "bold")]
    pair = facts.best_pair()
    if pair is not None and not (pair.b in headline(facts) and "interval" in headline(facts)):  # else it is said already
        lines.append(plain(difference_sentence(pair)))
    if facts.cannot_tell:
        unsure = "Cannot tell the first two apart."
        if facts.label_more is not None:
            unsure += f" Label about {count(facts.label_more)} more held-out rows to show this difference."
        if facts.detectable is not None:
            unsure += f" These rows could have shown {number(facts.detectable * 100)} points or more (power 80 %)."
        lines.append(plain(unsure, "yellow"))
    lines += [plain(remark) for remark in facts.remarks]
    limits = limits_in_words(facts)
    if limits:
        kept = sum(c.within for c in facts.contenders)
        lines.append(plain(f"Constraints: {'; '.join(limits)}. {kept} of {len(facts.contenders)} contenders keep them.", "dim"))
    sure = facts.winner is not None and not facts.cannot_tell
    return Panel(Group(*lines), title="maskfork", title_align="left", border_style="green" if sure else "yellow")


def print_result(report: Mapping[str, Any], console: Console) -> None:
    """Panel, contenders and differences, as wide as the console."""
    console.print(recommendation_panel(report))
    console.print(result_table(report, console.width))
    if report.get("pairs"):
        console.print()
        console.print(pairs_table(report, console.width))


def _with_range(value: float | None, ci: Range | None) -> str:
    if ci is None:
        return percent(value)
    return f"{percent(value)} ({number(ci[0] * 100)}–{number(ci[1] * 100)})"


def plain(words: str, style: str = "") -> Text:
    """A user's words: never read as rich's markup, never a terminal's control sequence."""
    return Text(_visible(words), style=style)


def _visible(words: str) -> str:
    return "".join(ch if ch.isprintable() or ch == "\u00a0" else " " if ch in "\n\t" else "\ufffd" for ch in words)
