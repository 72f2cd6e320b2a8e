"""A map in a terminal: shades that need no colour, the rule's forbidden cells apart, and the strongest links under it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from maskfork.view.attention.colours import depth
from maskfork.view.attention.data import Attention, Map, Tile, Token
from maskfork.view.attention.links import Link, links, parked
from maskfork.view.lettering import pad, shown, upright
from maskfork.view.words import NBSP, listing, percent

SHADES = " ░▒▓█"
FORBIDDEN = "╱"
GAP = 4
_STYLE = {"first": "", "second": "dark_orange3", "special": "dim"}


def attention_text(seen: Attention, tiles: Sequence[Tile], width: int = 100) -> RenderableType:
    """Every map of a model, side by side where they fit: `tiles` names a picture of each."""
    drawn = [_drawn(one, tile, width) for one, tile in zip(seen.maps, tiles, strict=True)]
    if len(drawn) > 1 and sum(wide for _, wide in drawn) + GAP * (len(drawn) - 1) <= width:
        beside = Table.grid(padding=(0, GAP, 0, 0))
        beside.add_row(*(picture for picture, _ in drawn))
        return Group(beside, Text(), _legend(width))
    rows: list[RenderableType] = []
    for picture, _ in drawn:
        rows += [picture, Text()]
    return Group(*rows, _legend(width))


def links_text(seen: Attention, tiles: Sequence[Tile] | None, most: int = 8) -> RenderableType:
    """A table of the strongest links of each map; of all heads where no picture is named."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    several = len(seen.maps) > 1
    for title in (*(("kind",) if several else ()), "token", "reads", "share", "where"):
        table.add_column(title, justify="right" if title == "share" else "left", no_wrap=True)
    for i, one in enumerate(seen.maps):
        found = links(one, tiles[i] if tiles else None, most if not several else max(3, most // 2))
        for link in found:
            table.add_row(*((one.kind,) if several else ()), *_row(one, link))
    return table


def links_title(seen: Attention, everywhere: bool) -> str:
    """What the table holds and what it leaves out, in two lines."""
    away = sum(float(one.weights[..., parked(one)].sum()) for one in seen.maps)
    share = _percent(away / max(sum(float(one.weights.sum()) for one in seen.maps), 1e-9))
    first = any(one.keys[0].part != "special" and bool(parked(one)[0]) for one in seen.maps)
    where = "of all heads, between tokens that are no neighbours" if everywhere else "here"
    special = any(t.part == "special" for one in seen.maps for t in one.keys)
    held = listing([*(["special tokens"] if special else []), *(["the first token"] if first else []), "punctuation"])
    return f"Strongest links {where}.\nLeft out: {held}, which hold {share} of all attention."


def _percent(share: float, digits: int = 0) -> str:
    """With a plain blank, so that what is copied from a terminal can be searched for."""
    return percent(share, digits).replace(NBSP, " ")


def _row(one: Map, link: Link) -> tuple[Text, Text, Text, Text]:
    query, key = one.queries[link.query], one.keys[link.key]
    return _name(query), _name(key), Text(_percent(link.weight, 1)), Text(str(link.tile), style="dim")


def _name(token: Token) -> Text:
    return Text(shown(token.text), style=_STYLE[token.part])


def _drawn(one: Map, tile: Tile, width: int) -> tuple[Text, int]:
    """(the picture, how many cells wide it is)."""
    weights, allowed = one.of(tile)
    rows, keys = [shown(t.text) for t in one.queries], [shown(t.text) for t in one.keys]
    left = max(cell_len(name) for name in rows)
    fits = np.cumsum([w + 1 for w in upright(keys)[0]]) <= width - left
    room = max(2, int(fits.sum()))
    widths, heads = upright(keys[:room])
    heads = [" " * left + line for line in heads]
    depths = depth(weights)
    rule = "" if tile.layer is None else f" ({one.rules[tile.layer].replace('()', '').lower()})"
    title = f"{one.kind}: {tile}{rule}" if one.kind != "cross" else f"cross: {tile}"
    text = Text(title + "\n", style="bold")
    text.append("\n".join(heads) + "\n", style="not bold")
    for q, name in enumerate(rows):
        text.append(pad(name, left, right=True), style=f"not bold {_STYLE[one.queries[q].part]}")
        for k, wide in enumerate(widths):
            sign, style = _cell(float(depths[q, k]), bool(allowed[q, k]))
            text.append(" " + sign * max(1, wide), style=style)
        text.append("\n")
    if room < len(keys):
        text.append(f"{len(keys) - room} more to the right: widen the terminal, or -o page.html\n", style="not bold italic")
    lines = text.plain.split("\n")
    text.right_crop(1)
    return text, max(cell_len(line) for line in lines)


def _cell(value: float, allowed: bool) -> tuple[str, str]:
    if not allowed:
        return FORBIDDEN, "not bold dim"
    if value < 0.1:  # a weight under 1 %
        return "·", "not bold dim"
    return SHADES[min(len(SHADES) - 1, max(1, round(value * (len(SHADES) - 1))))], "not bold blue"


def _legend(width: int) -> Text:
    bounds = [((i - 0.5) / (len(SHADES) - 1)) ** 2 for i in range(1, len(SHADES))]
    words = "  ".join(f"{s} {_percent(max(b, 0.01))}" for s, b in zip(SHADES[1:], bounds, strict=True))
    return Text(f"{FORBIDDEN} forbidden by the rule   · under 1 %   from: {words}", style="dim")
