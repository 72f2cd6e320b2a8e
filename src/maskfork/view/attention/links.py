"""Which tokens link most strongly, and which head shows it.

Weights on special tokens and punctuation, and under a causal rule on the first token, mostly say "nothing here": heads park
attention there (Clark et al. 2019, section 3.2; Xiao et al. 2024, "attention sinks"). So links to them are left out, and so
is a token's link to itself. Heads that read the token before or after are in every model; where heads are weighed against
each other, links between neighbours do not count, so that what words have to do with each other is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskfork.errors import UsageError
from maskfork.view.attention.data import Map, Tile, Token


@dataclass(frozen=True)
class Link:
    """Query token number `query` read key token number `key` with this share of its attention."""

    query: int
    key: int
    weight: float
    tile: Tile


def parked(one: Map) -> NDArray[np.bool_]:
    """[K]: keys that are no content: special tokens, punctuation, and the first token where it can read only itself."""
    keys = np.array([_empty(t) for t in one.keys])
    if one.kind != "cross" and not one.allowed[:, :, 0, 1:].any():
        keys[0] = True
    return keys


def candidates(one: Map, apart: int = 1) -> NDArray[np.bool_]:
    """[Q, K]: the pairs that count as links: two tokens of content, `apart` places or more from each other.

    Where a text is too short to have such a pair, fewer places are enough.
    """
    content = np.ones(one.reach.shape, dtype=bool)
    content[:, parked(one)] = False
    content[[_empty(t) for t in one.queries]] = False
    if one.kind == "cross":
        return content
    distance = np.abs(np.arange(len(one.queries))[:, None] - np.arange(len(one.keys)))
    tries = [content & one.reach & (distance >= least) for least in range(apart, -1, -1)]
    return next((pairs for pairs in tries if pairs.any()), tries[-1])


def _empty(token: Token) -> bool:
    return token.part == "special" or not any(c.isalnum() for c in token.text)


def links(one: Map, tile: Tile | None = None, most: int = 8) -> list[Link]:
    """The strongest links of one picture; without `tile` those of all layers and heads, each pair once, in its best head,
    neighbours left out."""
    if tile is not None:
        best, where = one.of(tile)[0], None
    else:
        flat = one.weights.reshape(-1, *one.weights.shape[2:])
        best, where = flat.max(0), flat.argmax(0)
    best = np.where(candidates(one, 1 if tile is not None else 2), best, 0.0)
    found = []
    for at in np.argsort(-best, axis=None, kind="stable")[:most]:
        query, key = divmod(int(at), len(one.keys))
        if best[query, key] <= 0:
            break
        own = tile if where is None or tile is not None else Tile(*divmod(int(where[query, key]), one.heads))
        assert own is not None  # one of the two is there
        found.append(Link(query, key, float(best[query, key]), own))
    return found


def choose_tile(one: Map, layer: int | None, head: int | None) -> Tile:
    """The picture that was asked for; what was left open is where content tokens link most strongly on average.

    A map with fewer layers or heads than another of the same model gives its last; `check_tile` refuses what no map has.
    """
    layers = range(one.layers) if layer is None else [min(layer, one.layers - 1)]
    heads = range(one.heads) if head is None else [min(head, one.heads - 1)]
    strength = np.where(candidates(one, 2), one.weights, 0.0).max(-1).mean(-1)  # [L, H]
    return Tile(*max(((i, j) for i in layers for j in heads), key=lambda at: (strength[at], -at[0], -at[1])))


def check_tile(maps: tuple[Map, ...], layer: int | None, head: int | None) -> None:
    """Raises UsageError where no map has that layer or head."""
    for name, asked, have in (("layer", layer, max(m.layers for m in maps)), ("head", head, max(m.heads for m in maps))):
        if asked is not None and not 0 <= asked < have:
            raise UsageError(f"there is no {name} {asked}: the model has {have}, counted from 0, so give 0 to {have - 1}")
