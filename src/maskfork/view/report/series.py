"""One colour and one shape for each series, the same in every plot: nothing is told by colour alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from maskfork.view.html import Safe, el, user_text
from maskfork.view.reading import PROMPTED, Facts

COLOURS = 8
_SHAPES = ("circle", "square", "triangle", "diamond", "down", "plus", "hexagon", "star")


class Styles:
    """The styles of a report's series."""

    def __init__(self, facts: Facts) -> None:
        self._place = {name: i for i, name in enumerate(facts.series)}
        self._prompted = {c.series for c in facts.contenders if c.kind in PROMPTED}

    def place(self, series: str) -> int:
        """A stable number; a series that the table does not know gets the next."""
        return self._place.setdefault(series, len(self._place))

    def colour(self, series: str) -> str:
        return f"c{self.place(series) % COLOURS}"

    def prompted(self, series: str) -> bool:
        return series in self._prompted

    def dash(self, series: str) -> str | None:
        """Prompted series are dashed."""
        return "6 4" if self.prompted(series) else None

    def mark(self, series: str, x: float, y: float, r: float = 5, hollow: bool = False, **more: object) -> Safe:
        """The series' shape around (x, y)."""
        place = self.place(series)
        shape = _SHAPES[(place + place // COLOURS) % len(_SHAPES)]
        classes = f"mark {self.colour(series)}" + (" hollow" if hollow else "")
        return el("path", d=_outline(shape, x, y, r), class_=classes, **more)


def key(styles: Styles, series: Sequence[str]) -> Safe:
    """The legend: buttons that bring one series forward."""
    items = []
    for name in series:
        swatch = el(
            "svg",
            el("line", x1=0, y1=8, x2=28, y2=8, class_=f"curve {styles.colour(name)}", stroke_dasharray=styles.dash(name)),
            styles.mark(name, 14, 8),
            viewBox="0 0 28 16",
            width=28,
            height=16,
            aria_hidden="true",
        )
        button = el("button", swatch, user_text(name), type="button", aria_pressed="false", data_series=styles.place(name))
        items.append(el("li", button))
    return el("ul", items, class_="key", aria_label="Series: press one to bring it forward")


def _outline(shape: str, x: float, y: float, r: float) -> str:
    if shape == "circle":
        return f"M{x - r:.1f} {y:.1f}a{r} {r} 0 1 0 {2 * r} 0a{r} {r} 0 1 0 {-2 * r} 0Z"
    if shape == "square":
        s = r * 0.9
        corners = [(-s, -s), (s, -s), (s, s), (-s, s)]
    elif shape == "plus":
        a, b = r * 1.15, r * 0.42
        arm = [(-b, -a), (b, -a), (b, -b)]  # one arm, turned four times
        corners = arm + [(-y, x) for x, y in arm] + [(-x, -y) for x, y in arm] + [(y, -x) for x, y in arm]
    elif shape == "star":
        radii = [r * 1.3 if i % 2 == 0 else r * 0.55 for i in range(10)]
        corners = [(q * math.sin(i * math.pi / 5), -q * math.cos(i * math.pi / 5)) for i, q in enumerate(radii)]
    else:
        sides, turn, size = {
            "triangle": (3, 0.0, 1.25),
            "down": (3, math.pi, 1.25),
            "diamond": (4, 0.0, 1.25),
            "hexagon": (6, 0.0, 1.1),
        }[shape]
        angles = [turn + 2 * math.pi * i / sides for i in range(sides)]
        corners = [(r * size * math.sin(a), -r * size * math.cos(a)) for a in angles]
    return "M" + "L".join(f"{x + dx:.1f} {y + dy:.1f}" for dx, dy in corners) + "Z"
