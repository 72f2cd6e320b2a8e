"""Scores of predictions in the terminal: each measure with its interval, and the difference to others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Protocol

from rich import box
from rich.table import Table
from rich.text import Text

from maskfork.view.words import number, p_value


class Bounds(Protocol):
    """A figure with the bounds of its interval."""

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Tested(Bounds, Protocol):
    """A difference with the p of there being none."""

    @property
    def p(self) -> float: ...


def scores_table(
    metrics: Mapping[str, Bounds],
    against: Mapping[str, Bounds] | None = None,
    differences: Mapping[str, Tested] | None = None,
    *,
    hundred: Collection[str] = (),
    plain_numbers: Collection[str] = (),
) -> Table:
    """A row a measure. Shares are shown in per cent, as those in `hundred` are already; `plain_numbers` have their own unit."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("measure", no_wrap=True)
    table.add_column("value (95 %)", justify="right", no_wrap=True)
    if against is not None and differences is not None:
        table.add_column("against", justify="right", no_wrap=True)
        table.add_column("difference (95 %)", justify="right", no_wrap=True)
        table.add_column("p", justify="right", no_wrap=True)
        table.add_column("so", no_wrap=True)
    for name, found in metrics.items():
        factor = 1.0 if name in plain_numbers or name in hundred else 100.0
        digits = 3 if name in plain_numbers else 1
        low, high = (number(end * factor, digits) for end in (found.low, found.high))
        cells = [Text(name), Text(f"{number(found.value * factor, digits + 1)} ({low} to {high})")]
        if against is not None and differences is not None:
            apart = differences[name]
            sure = apart.low > 0 or apart.high < 0
            low, high = (_signed(end * factor, digits) for end in (apart.low, apart.high))
            so = ("higher" if apart.value > 0 else "lower") if sure else "cannot tell"
            cells += [
                Text(number(against[name].value * factor, digits)),
                Text(f"{_signed(apart.value * factor, digits)} ({low} to {high})"),
                Text(p_value(apart.p)),
                Text(so, style="green" if sure else "yellow"),
            ]
        table.add_row(*cells)
    return table


def _signed(value: float, digits: int) -> str:
    text = number(value, digits)
    return text if value <= 0 or float(text.replace(",", "")) == 0 else f"+{text}"
