"""The page: one file that loads nothing. The layers' heads to choose from, one map large, the text shaded by what it reads.

Weights are kept in two bytes each (0 to 65535), so the page of a sentence is small and exact to 0.002 %.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.view.attention.data import Allowed, Attention, Map, Tile, Token, Weights
from maskfork.view.attention.links import links
from maskfork.view.html import Safe, data_block, document, el, join, user_text
from maskfork.view.lettering import shown

_KINDS = {
    "encoder": ("Encoder", "Every token of the source, reading the source."),
    "decoder": ("Decoder", "Every token that is written, reading those before it."),
    "cross": ("Cross", "Every token that is written, reading the source."),
}
_KEYS = "Arrow keys walk through layers and heads, and through the words of the text. Tab goes on."


def attention_html(seen: Attention, tiles: Sequence[Tile]) -> str:
    """`tiles` names the picture of each map that is large at first."""
    title = f"{seen.model}: what each token reads"
    heading = [el("h1", user_text(seen.model), ": what each token reads"), el("p", _about(seen), " ", _KEYS, class_="quiet")]
    notes = [el("p", note, class_="notice") for note in seen.notes]
    maps = el(
        "div",
        [_section(i, one, alone=len(seen.maps) == 1) for i, one in enumerate(seen.maps)],
        class_="maps one" if len(seen.maps) == 1 else "maps several",
    )
    body = join(
        [
            el("main", heading, notes, _legend(seen), maps, _words(), el("noscript", el("p", "This page draws with a script."))),
            el("div", id="tip", role="presentation", hidden=True),
            data_block({"maps": [_plain(m, t) for m, t in zip(seen.maps, tiles, strict=True)]}, "attention"),
        ]
    )
    return document(title=title, body=body, css=_asset("page.css"), script=_asset("page.js"))


def write_attention_html(seen: Attention, tiles: Sequence[Tile], path: str | os.PathLike[str]) -> None:
    """Writes the page at once. Raises OSError."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.part")
    draft.write_text(attention_html(seen, tiles), encoding="utf-8", newline="\n")
    draft.replace(target)


def _about(seen: Attention) -> str:
    sizes = [f"{one.layers} layers of {one.heads} heads" for one in seen.maps if one.kind != "cross"]
    each = sizes[0] if len(set(sizes)) == 1 else f"{sizes[0]} and {sizes[-1]}"
    return f"{seen.family}, {seen.fork}, {each}. A row of a map is a token that reads, a column one that is read."


def _legend(seen: Attention) -> Safe:
    parts = {t.part for one in seen.maps for t in (*one.queries, *one.keys)}
    both = seen.fork == "encoder-decoder"
    names = {"first": "source" if both else "text", "second": "target" if both else "second text", "special": "special token"}
    shown_parts = [p for p in names if p in parts] if len(parts - {"special"}) > 1 else []
    return el(
        "div",
        el("span", el("span", "0"), el("i", class_="ramp"), el("span", "100 %"), class_="scale"),
        el("span", el("i", class_="hatched"), "forbidden by the rule"),
        [el("span", el("b", names[p], class_=p)) for p in shown_parts],
        class_="legend",
    )


def _section(number: int, one: Map, *, alone: bool) -> Safe:
    name, what = _KINDS[one.kind]
    head = el("h2", name, id=f"map-{number}") if not alone else None
    grid = el("div", role="grid", class_="overview", aria_label=f"{name}: layers and heads")
    large = el(
        "div",
        el("h3", el("span", class_="title", aria_live="polite"), " ", el("span", class_="rule quiet")),
        el(
            "div", el("div", class_="plot"), class_="scroll", tabindex=0, role="region", aria_label=f"{name}: the map, scrollable"
        ),
        class_="large",
    )
    reader = el(
        "div",
        el("h3", "Choose a token to see what it reads"),
        el("div", class_="chips query", role="radiogroup", aria_label="Token that reads"),
        el("div", class_="chips key", aria_label="Source tokens", role="group") if one.kind == "cross" else None,
        el("p", class_="said", aria_live="polite"),
        class_="reader",
    )
    strongest = el(
        "details",
        el("summary", "Strongest links of all heads, without neighbours, special tokens and punctuation"),
        el("ul", class_="links"),
    )
    table = el(
        "details",
        el("summary", "This map as a table"),
        el("div", el("table"), class_="scroll", tabindex=0, role="region", aria_label=f"{name}: table"),
        class_="as-table",
    )
    return el(
        "section",
        head,
        el("p", what, class_="quiet") if not alone else None,
        el("div", grid, class_="left"),
        large,
        el("div", reader, strongest, table, class_="under"),
        class_="map",
        data_map=number,
        aria_labelledby=None if alone else f"map-{number}",
        aria_label=f"{name} attention" if alone else None,
    )


def _words() -> Safe:
    return el(
        "p",
        "The mean is over the heads of a layer. The rollout (Abnar & Zuidema 2020) follows attention through all layers, half "
        "of each step being the token itself: how much of each token has arrived. A cell's depth is the root of its weight, so "
        "that small weights show. Hatched cells are those that the model's own mask rule forbids, layer by layer; in the "
        "rollout, those that no chain of layers reaches.",
        class_="quiet small words",
    )


def _plain(one: Map, tile: Tile) -> dict[str, Any]:
    """A map for the script. Masks that are alike are written once."""
    masks: dict[bytes, int] = {}

    def number(allowed: Allowed) -> int:
        return masks.setdefault(np.packbits(allowed).tobytes(), len(masks))

    numbers = [[number(head) for head in layer] for layer in one.allowed]
    means = [number(layer.any(0)) for layer in one.allowed]
    reached = number(one.reach)
    return {
        "kind": one.kind,
        "layers": one.layers,
        "heads": one.heads,
        "queries": [_token(t) for t in one.queries],
        "keys": [_token(t) for t in one.keys],
        "weights": _sixteen(one.weights),
        "rollout": _sixteen(one.rollout),
        "masks": [base64.b64encode(bits).decode() for bits in masks],
        "allowed": numbers,
        "means": means,
        "reach": reached,
        "rules": [rule.replace("()", "").lower() for rule in one.rules],
        "links": [[link.query, link.key, round(link.weight, 4), link.tile.layer, link.tile.head] for link in links(one, most=10)],
        "start": [tile.layer, tile.head],
        "query": next((link.query for link in links(one, tile, most=1)), 0),
    }


def _token(token: Token) -> list[str]:
    return [shown(token.text), token.part]


def _sixteen(weights: Weights) -> str:
    return base64.b64encode(np.rint(np.clip(weights, 0, 1) * 65535).astype("<u2").tobytes()).decode()


def _asset(name: str) -> str:
    return files("maskfork.view.attention").joinpath(name).read_text(encoding="utf-8")
