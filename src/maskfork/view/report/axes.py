"""Scales, ticks and the frame of a plot. Every plot is drawn twice, wide and for a phone, and CSS shows one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from maskfork.view.html import Safe, el

CHAR = 7.0  # width of one terminal cell of 12 px sans-serif text, measured generously


@dataclass(frozen=True)
class Size:
    """Pixels of one drawing."""

    width: int
    height: int
    narrow: bool = False


WIDE = Size(760, 380)
NARROW = Size(330, 320, narrow=True)

Scale = Callable[[float], float]


def linear(low: float, high: float, start: float, end: float) -> Scale:
    """Maps [low, high] to pixels [start, end]; an empty domain maps to the middle."""
    span = high - low
    return lambda v: (start + end) / 2 if span == 0 else start + (v - low) / span * (end - start)


def logarithmic(low: float, high: float, start: float, end: float) -> Scale:
    """Maps [low, high], both above zero, to pixels by the logarithm."""
    inner = linear(math.log10(low), math.log10(high), start, end)
    return lambda v: inner(math.log10(v))


def nice_ticks(low: float, high: float, wanted: int = 5) -> list[float]:
    """Round numbers (1, 2, 2.5, 5 x 10^n) inside [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / max(1, wanted)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.72)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """1-2-5 ticks inside [low, high], only the powers of ten where the range is wide."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    leads = (1,) if math.log10(high / low) > 3.2 else (1, 2, 5)
    return [m * 10.0**d for d in decades for m in leads if low * 0.999 <= m * 10.0**d <= high * 1.001]


def share_domain(values: Sequence[float]) -> tuple[float, float]:
    """A domain for shares with a little air, inside 0..1."""
    low, high = min(values), max(values)
    air = max(0.01, (high - low) * 0.08)
    return max(0.0, low - air), min(1.0, high + air)


def label(x: float, y: float, text: str, anchor: str = "middle", class_: str = "tick", **more: object) -> Safe:
    return el("text", text, x=float(x), y=float(y), text_anchor=anchor, class_=class_, **more)


def line(x1: float, y1: float, x2: float, y2: float, class_: str, **more: object) -> Safe:
    return el("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), class_=class_, **more)


def spaced(ticks: Sequence[tuple[float, str]], gap: float = 10) -> list[tuple[float, str]]:
    """Of (x, text) those whose texts do not touch; the last one is kept before the one in front of it."""
    kept: list[tuple[float, str]] = []
    for x, text in ticks:
        half = cell_len(text) * CHAR / 2
        while len(kept) > 1 and x - half < kept[-1][0] + cell_len(kept[-1][1]) * CHAR / 2 + gap:
            kept.pop()
        if kept and x - half < kept[-1][0] + cell_len(kept[-1][1]) * CHAR / 2 + gap:
            continue
        kept.append((x, text))
    return kept


@dataclass(frozen=True)
class Plot:
    """The inner box of a drawing."""

    size: Size
    left: float = 46
    right: float = 14
    top: float = 16
    bottom: float = 46

    @property
    def x0(self) -> float:
        return self.left

    @property
    def x1(self) -> float:
        return self.size.width - self.right

    @property
    def y0(self) -> float:
        return self.size.height - self.bottom

    @property
    def y1(self) -> float:
        return self.top

    def frame(self, xs: Sequence[tuple[float, str]], ys: Sequence[tuple[float, str]], x_title: str, y_title: str) -> list[Safe]:
        """Grid lines, tick texts and the titles of both axes (the y title lies along the top, unturned)."""
        out = [line(self.x0, y, self.x1, y, "grid") for y, _ in ys]
        out += [label(self.x0 - 7, y + 4, t, "end") for y, t in ys]
        out.append(line(self.x0, self.y0, self.x1, self.y0, "axis"))
        out += [line(x, self.y0, x, self.y0 + 4, "axis") for x, _ in xs]
        out += [label(x, self.y0 + 18, t) for x, t in spaced(xs)]
        out.append(label((self.x0 + self.x1) / 2, self.size.height - 8, x_title, class_="axis-title"))
        out.append(label(2, 12, y_title, "start", "axis-title"))
        return out


def figure(
    draw: Callable[[Size], list[Safe]],
    *,
    about: str,
    title: str | None = None,
    caption: object = None,
    below: object = None,
    wide: Size = WIDE,
    narrow: Size = NARROW,
) -> Safe:
    """The drawing in both sizes. Points marked `data-tip` are walked with the arrow keys (see script.js)."""

    def drawing(size: Size) -> Safe:
        return el(
            "svg",
            draw(size),
            class_=f"plot {'only-narrow' if size.narrow else 'only-wide'}",
            viewBox=f"0 0 {size.width} {size.height}",
            role="group",
            aria_label=about,
        )

    shown = el("figcaption", caption) if caption else None
    heading = el("h3", title) if title else None
    return el("figure", heading, drawing(wide), drawing(narrow), below, shown)
