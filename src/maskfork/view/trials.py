"""A search's trials in the terminal, best first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from rich import box
from rich.table import Table
from rich.text import Text

from maskfork.view.words import MISSING, duration, number, significant


class Trial(Protocol):
    """What is shown of one."""

    @property
    def number(self) -> int: ...
    @property
    def settings(self) -> Mapping[str, Any]: ...
    @property
    def score(self) -> float | None: ...
    @property
    def low(self) -> float | None: ...
    @property
    def high(self) -> float | None: ...
    @property
    def rows(self) -> int: ...
    @property
    def state(self) -> str: ...
    @property
    def seconds(self) -> float: ...
    @property
    def why(self) -> str: ...


class Search(Protocol):
    """The search that they were made in."""

    @property
    def metric(self) -> str: ...
    @property
    def best(self) -> Trial: ...
    @property
    def tries(self) -> Sequence[Trial]: ...


def trials_table(found: Search) -> Table:
    """Whole trials by their score, then those that were stopped; ▶ is the one that is taken."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    names = list(dict.fromkeys(name for one in found.tries for name in one.settings))
    for title in ("", "trial", f"{found.metric} (95 %)", "rows", "time", *names, "ended"):
        table.add_column(title, justify="right" if title in ("trial", "rows", "time") else "left")
    sign = -1 if found.metric in ("loss", "perplexity", "mse", "mae") else 1
    for one in sorted(found.tries, key=lambda t: (t.state != "complete", -sign * (t.score if t.score is not None else -1e9))):
        score = MISSING if one.score is None else f"{number(one.score, 4)} ({number(one.low, 3)} to {number(one.high, 3)})"
        best = one.number == found.best.number
        table.add_row(
            Text("▶" if best else "", style="green"),
            str(one.number + 1) + (" (defaults)" if one.number == 0 else ""),
            score,
            f"{one.rows:,}",
            duration(one.seconds),
            *(_shown(one.settings.get(name, MISSING)) for name in names),
            Text(one.why or "whole"),
            style="bold" if best else None,
        )
    return table


def _shown(value: Any) -> str:
    return significant(value) if isinstance(value, float) else str(value)
