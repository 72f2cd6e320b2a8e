"""The picture: every layer and head small, one map large with the tokens on both axes, its layer's mean, the rollout.

one map                                   an encoder-decoder: encoder, decoder, cross side by side
▪▪▪▪ layers x heads,   ┌────────┐         ▪▪▪▪   ▪▪▪▪   ▪▪▪▪
▪▪▪▪ a column of means │ large  │         ┌──┐   ┌──┐   ┌──┐
┌──┐ ┌──┐              │        │         └──┘   └──┘   └──┘
mean rollout           └────────┘         ▫ ▫    ▫ ▫    ▫ ▫
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len

from maskfork.view.attention.colours import FORBIDDEN, HATCH, PART_COLOURS, STOPS, depth
from maskfork.view.attention.data import Allowed, Attention, Map, Tile, Token, Weights
from maskfork.view.lettering import find_fonts, shown
from maskfork.view.words import percent

_WIDE = 6.0  # inches of a column of small pictures
_GAP = 0.45
_TOP = 0.66
_ACCENT = "#c2470c"


def attention_png(seen: Attention, tiles: Sequence[Tile], path: str | os.PathLike[str], dpi: int = 130) -> None:
    """`tiles` names the large picture of each map. Raises OSError where `path` fails."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    letters = "".join(shown(t.text) for one in seen.maps for t in (*one.queries, *one.keys))
    page = _Page(*find_fonts(letters + seen.model + "→×·"))
    several = len(seen.maps) > 1
    columns = [_Column(one, tile, beside=not several) for one, tile in zip(seen.maps, tiles, strict=True)]
    page.high = _TOP + max(c.height for c in columns) + 0.6
    page.wide = sum(c.width for c in columns) + (len(columns) - 1) * _GAP + 0.3
    page.figure = Figure(figsize=(page.wide, page.high), facecolor="white")
    FigureCanvasAgg(page.figure)
    page.text(0.15, 0.14, f"{seen.model}: what each token reads", size=13, weight="bold")
    at = 0.15
    for column in columns:
        _draw(page, column, at, _TOP)
        at += column.width + _GAP
    _legend(page, page.high - 0.36, seen)
    page.figure.savefig(Path(path), dpi=dpi, format="png")


class _Page:
    """Places in inches from the upper left corner, and texts in the fonts at hand."""

    figure: Any
    wide: float
    high: float

    def __init__(self, fonts: list[str], lacking: set[str]) -> None:
        self.fonts, self.boxes = fonts, str.maketrans(dict.fromkeys(lacking, "□"))

    def axes(self, x: float, y: float, wide: float, high: float) -> Any:
        axes = self.figure.add_axes((x / self.wide, 1 - (y + high) / self.high, wide / self.wide, high / self.high))
        for spine in axes.spines.values():
            spine.set(edgecolor="#c3c8d0", linewidth=0.6)
        axes.tick_params(length=0)
        return axes

    def text(self, x: float, y: float, words: str, size: float = 9, **more: Any) -> None:
        look: dict[str, Any] = {"va": "top", "fontsize": size, "family": self.fonts, "parse_math": False, **more}
        self.figure.text(x / self.wide, 1 - y / self.high, words.translate(self.boxes), **look)


class _Column:
    """One map's sizes in inches, worked out before anything is drawn. `beside`: the large map stands on the right."""

    def __init__(self, one: Map, tile: Tile, *, beside: bool) -> None:
        self.one, self.tile, self.beside = one, tile, beside
        self.rows, self.keys = ([shown(t.text) for t in side] for side in (one.queries, one.keys))
        self.names = min(1.5, 0.075 * max(cell_len(t) for t in (*self.rows, *self.keys)) + 0.12)
        across, down = one.heads + 1, one.layers
        ratio = len(self.rows) / len(self.keys)
        self.small = min(0.62, (_WIDE - 0.5) / across, 6.0 / down / max(ratio, 0.4))
        self.overview = (self.small * across, self.small * ratio * down)
        side = (_WIDE - 0.4) / 2
        self.pair = (side, min(side * ratio, 4.0))
        left = 0.5 + self.overview[1] + 0.2 + 0.22 + self.pair[1]
        room = (6.6, max(6.0, left - self.names - 0.3)) if beside else (_WIDE - self.names - 0.1, 9.0)
        self.cell = min(0.42, room[0] / len(self.keys), room[1] / len(self.rows))
        self.large = (self.cell * len(self.keys), self.cell * len(self.rows))
        right = 0.28 + self.names + self.large[1]
        self.height = max(left, right) if beside else left + right + 0.3
        self.width = _WIDE + (_GAP + self.names + self.large[0] + 0.1 if beside else 0.0)


def _draw(page: _Page, column: _Column, x: float, y: float) -> None:
    one, tile = column.one, column.tile
    what = f"{one.layers} layers × {one.heads} heads, then the mean over heads"
    page.text(x, y, f"{one.kind}: {what}" if one.kind != "cross" else f"cross (target reads source): {what}")
    wide, high = column.overview
    _overview(page.axes(x + 0.32, y + 0.36, wide, high), column)
    below = y + 0.5 + high
    if column.beside:
        _large(page, column, x + _WIDE + _GAP, y)
    else:
        _large(page, column, x, below + 0.1)
        below += 0.1 + 0.28 + column.names + column.large[1]
    for i, other in enumerate((Tile(tile.layer if tile.layer is not None else one.layers - 1), Tile(None))):
        at = x + i * (column.pair[0] + 0.4)
        page.text(at, below + 0.2, "rollout over all layers" if other.layer is None else f"layer {other.layer}, mean over heads")
        picture(page.axes(at, below + 0.42, *column.pair), *one.of(other), fit=True)


def _large(page: _Page, column: _Column, x: float, y: float) -> None:
    page.text(x, y, f"{column.tile}   rule: {_rule(column.one, column.tile)}", weight="bold")
    axes = page.axes(x + column.names, y + 0.28 + column.names, *column.large)
    picture(axes, *column.one.of(column.tile))
    _name_axes(page, axes, column)


def _rule(one: Map, tile: Tile) -> str:
    return "what any chain of layers leads to" if tile.layer is None else one.rules[tile.layer].replace("()", "").lower()


def picture(axes: Any, weights: Weights, allowed: Allowed, *, fit: bool = False) -> None:
    """One map into `axes`: depth of colour for the weights, hatching where the rule forbids."""
    axes.imshow(_coloured(weights, allowed), interpolation="nearest", aspect="auto" if fit else "equal")
    axes.set(xticks=[], yticks=[])
    _hatch(axes, _runs(allowed), "////" if max(allowed.shape) <= 60 else "//////")


def _overview(axes: Any, column: _Column) -> None:
    """All heads as one image with gaps, so that a thousand of them cost no more than one."""
    one = column.one
    queries, keys = one.reach.shape
    gap_x, gap_y = max(1, round(0.09 * keys)), max(1, round(0.09 * queries))
    step_x, step_y = keys + gap_x, queries + gap_y
    image = np.ones((one.layers * step_y - gap_y, (one.heads + 1) * step_x - gap_x, 3), dtype=np.float32)
    runs: list[tuple[float, float, float]] = []
    for layer in range(one.layers):
        for head in range(one.heads + 1):
            weights, allowed = one.of(Tile(layer, head if head < one.heads else None))
            top, left = layer * step_y, head * step_x
            image[top : top + queries, left : left + keys] = _coloured(weights, allowed)
            runs += [(q + top, a + left, n) for q, a, n in _runs(allowed)]
    axes.imshow(image, interpolation="nearest", aspect="auto")
    _hatch(axes, runs, "/////////")
    from matplotlib.patches import Rectangle

    if column.tile.layer is not None:
        chosen = one.heads if column.tile.head is None else column.tile.head
        corner = (chosen * step_x - 0.5 - gap_x / 2, column.tile.layer * step_y - 0.5 - gap_y / 2)
        axes.add_patch(Rectangle(corner, step_x, step_y, fill=False, edgecolor=_ACCENT, linewidth=1.8, clip_on=False))
    for spine in axes.spines.values():
        spine.set_visible(False)
    size = min(8.0, max(4.0, column.small * 26))
    every = 1 if column.small > 0.17 else 4
    heads = [str(h) if h % every == 0 else "" for h in range(one.heads)]
    axes.set_xticks([h * step_x + keys / 2 - 0.5 for h in range(one.heads + 1)], [*heads, "mean"], fontsize=size)
    axes.set_yticks([i * step_y + queries / 2 - 0.5 for i in range(one.layers)], range(one.layers), fontsize=size)
    axes.xaxis.tick_top()
    axes.set_ylim(image.shape[0] + gap_y / 2, -gap_y / 2 - 1)
    axes.set_xlim(-gap_x / 2 - 1, image.shape[1] + gap_x / 2)


def _coloured(weights: Weights, allowed: Allowed) -> NDArray[np.float32]:
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    scale = LinearSegmentedColormap.from_list("attention", list(STOPS))
    image: NDArray[np.float32] = scale(depth(weights))[..., :3].astype(np.float32)
    image[~allowed] = to_rgb(FORBIDDEN)
    return image


def _runs(allowed: Allowed) -> list[tuple[float, float, float]]:
    """(row, first column, length) of each unbroken run of forbidden cells."""
    edges = np.diff(np.pad(~allowed, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    return [(int(q), int(a), int(b) - int(a)) for (q, a), (_, b) in zip(starts, ends, strict=True)]


def _hatch(axes: Any, runs: Sequence[tuple[float, float, float]], pattern: str) -> None:
    """One path for all forbidden cells: their hatching runs through."""
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Outline

    if not runs:
        return
    q, a, n = (np.asarray(side, dtype=float) for side in zip(*runs, strict=True))
    left, right, top, bottom = a - 0.5, a + n - 0.5, q - 0.5, q + 0.5
    corners = np.stack([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]).transpose(2, 0, 1)
    codes = np.tile([Outline.MOVETO, *[Outline.LINETO] * 3, Outline.CLOSEPOLY], len(runs))
    outline = Outline(corners.reshape(-1, 2), codes)
    axes.add_patch(PathPatch(outline, facecolor="none", edgecolor=HATCH, hatch=pattern, linewidth=0, alpha=0.75))


def _name_axes(page: _Page, axes: Any, column: _Column) -> None:
    """Tokens on both axes in the colour of their text; beyond 60 only every n-th is named."""
    sides: tuple[tuple[Any, list[str], tuple[Token, ...], int], ...] = (
        (axes.xaxis, column.keys, column.one.keys, 90),
        (axes.yaxis, column.rows, column.one.queries, 0),
    )
    size = max(4.5, min(9.0, column.cell * 34))
    axes.xaxis.tick_top()  # before the labels are coloured: those below are others
    for axis, names, tokens, turn in sides:
        step = 1 if len(names) <= 60 else -(-len(names) // 40)
        look: dict[str, Any] = {"rotation": turn, "fontsize": size, "family": page.fonts, "parse_math": False}
        axis.set_ticks(range(0, len(names), step), [n.translate(page.boxes) for n in names[::step]], **look)
        for label, token in zip(axis.get_ticklabels(), tokens[::step], strict=True):
            label.set_color(PART_COLOURS[token.part])
    axes.set_xticks(np.arange(len(column.keys) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(column.rows) + 1) - 0.5, minor=True)
    if len(column.keys) <= 60:
        axes.grid(which="minor", color="white", linewidth=0.5)
    axes.tick_params(which="both", length=0)


def _legend(page: _Page, y: float, seen: Attention) -> None:
    axes = page.axes(0.15, y, 2.2, 0.14)
    ramp = np.linspace(0, 1, 256, dtype=np.float32)[None] ** 2
    axes.imshow(_coloured(ramp, np.ones_like(ramp, dtype=bool)), aspect="auto")
    marks = (0.0, 0.1, 0.3, 0.6, 1.0)
    axes.set_xticks([255 * m**0.5 for m in marks], [percent(m, 0) for m in marks], fontsize=6.5)
    axes.set_yticks([])
    hatched = page.axes(2.75, y, 0.3, 0.14)
    picture(hatched, np.zeros((1, 2), dtype=np.float32), np.zeros((1, 2), dtype=bool), fit=True)
    page.text(3.12, y - 0.01, "forbidden by the rule", size=8)
    page.text(4.75, y - 0.01, "rows read, columns are read", size=8)
    parts = {token.part for one in seen.maps for token in (*one.queries, *one.keys)}
    names = {"first": "text", "second": "second text", "special": "special token"}
    if seen.fork == "encoder-decoder":
        names |= {"first": "source", "second": "target"}
    at = 7.0
    for part, name in names.items() if "second" in parts else ():
        if part in parts:
            page.text(at, y - 0.01, name, size=8, weight="bold", color=PART_COLOURS[part])
            at += 0.3 + 0.075 * len(name)
