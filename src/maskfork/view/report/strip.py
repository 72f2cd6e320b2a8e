"""A difference and its interval on a line with zero. Widths are percentages: the strip is as wide as its place."""

from __future__ import annotations

from collections.abc import Sequence

from maskfork.view.html import Safe, el
from maskfork.view.reading import Pair
from maskfork.view.report.axes import nice_ticks
from maskfork.view.words import points


class Strip:
    """One scale for all the pairs given, zero always on it."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        ends = [v for p in pairs for v in (*(p.ci or ()), p.difference) if v is not None]
        low, high = min([0.0, *ends]), max([0.0, *ends])
        air = max((high - low) * 0.06, 0.004)
        self.low, self.high = low - air, high + air

    def at(self, value: float) -> str:
        return f"{(value - self.low) / (self.high - self.low) * 100:.2f}%"

    def row(self, pair: Pair, tall: bool = False) -> Safe:
        """The interval as a bar, the difference as a dot; filled only where the interval excludes zero."""
        height = 54 if tall else 26
        middle = 16 if tall else 13
        drawn = [el("line", x1=self.at(0), x2=self.at(0), y1=2, y2=30 if tall else height - 2, class_="zero")]
        if tall:
            for tick in nice_ticks(self.low, self.high, 4):
                drawn.append(el("line", x1=self.at(tick), x2=self.at(tick), y1=30, y2=35, class_="axis"))
                drawn.append(el("text", points(tick), x=self.at(tick), y=49, text_anchor="middle", class_="tick"))
            drawn.append(el("line", x1="0%", x2="100%", y1=30, y2=30, class_="axis"))
        state = "sure" if pair.separated else "open"
        if pair.ci is not None:
            ends = {"x1": self.at(pair.ci[0]), "x2": self.at(pair.ci[1])}
            drawn.append(el("line", **ends, y1=middle, y2=middle, class_=f"interval {state}"))
        if pair.difference is not None:
            drawn.append(el("circle", cx=self.at(pair.difference), cy=middle, r=6 if tall else 4.5, class_=f"dot {state}"))
        return el("svg", drawn, class_="strip", width="100%", height=height, aria_hidden="true")

    def axis(self) -> Safe:
        """Ticks for a column of rows."""
        drawn = []
        for tick in nice_ticks(self.low, self.high, 3):
            drawn.append(el("text", points(tick), x=self.at(tick), y=12, text_anchor="middle", class_="tick"))
        return el("svg", drawn, class_="strip", width="100%", height=16, aria_hidden="true")
