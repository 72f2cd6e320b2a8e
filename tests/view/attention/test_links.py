"""Planted links are found; parked attention, neighbours and oneself are left out."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.errors import UsageError
from maskfork.view.attention import Map, Tile, Token, check_tile, choose_tile, links
from maskfork.view.attention.links import candidates, parked


def planted(words: str, cells: dict[tuple[int, int, int, int], float], kind: str = "encoder", layers: int = 3) -> Map:
    """A map of zeros with these weights [layer, head, query, key]; words in brackets are special."""
    tokens = tuple(Token(w, i, "special" if w.startswith("[") else "first") for i, w in enumerate(words.split()))
    n = len(tokens)
    weights = np.zeros((layers, 4, n, n), dtype=np.float32)
    for at, weight in cells.items():
        weights[at] = weight
    allowed = np.ones((layers, 1, n, n), dtype=bool)
    if kind == "decoder":
        allowed &= np.tri(n, dtype=bool)
    return Map(kind, tokens, tokens, weights, allowed, ("",) * layers, weights[0, 0], allowed[0, 0])  # type: ignore[arg-type]


def test_the_strongest_link_of_all_heads_and_where_it_is() -> None:
    one = planted("[CLS] the old cat sat . [SEP]", {
        (0, 1, 3, 0): 0.99,  # on a special token
        (0, 2, 3, 5): 0.98,  # on punctuation
        (1, 0, 3, 2): 0.97,  # a neighbour
        (1, 1, 4, 4): 0.96,  # itself
        (2, 3, 4, 1): 0.5, (1, 3, 4, 1): 0.4, (2, 0, 3, 1): 0.3,
    })  # fmt: skip
    assert [(k.query, k.key, round(k.weight, 2), str(k.tile)) for k in links(one)] == [
        (4, 1, 0.5, "layer 2, head 3"),
        (3, 1, 0.3, "layer 2, head 0"),
    ]
    assert [(k.query, k.key) for k in links(one, Tile(1, 0))] == [(3, 2)]  # in one picture a neighbour counts
    assert len(links(one, most=1)) == 1
    assert choose_tile(one, None, None) == Tile(2, 3)
    assert choose_tile(one, 1, None) == Tile(1, 3)
    assert choose_tile(one, None, 0) == Tile(2, 0)
    assert choose_tile(one, 1, 2) == Tile(1, 2)


def test_under_a_causal_rule_the_first_token_is_a_parking_place() -> None:
    cells = {(0, 0, 3, 0): 0.9, (0, 0, 3, 1): 0.1}
    assert parked(planted("the old cat sat", cells, "decoder")).tolist() == [True, False, False, False]
    assert not parked(planted("the old cat sat", cells)).any()
    assert [(k.query, k.key) for k in links(planted("the old cat sat", cells, "decoder"))] == [(3, 1)]


@pytest.mark.parametrize("words", ["cat", "the cat", "[CLS] [SEP]", "[CLS] cat [SEP]"])
def test_short_texts_have_a_picture_all_the_same(words: str) -> None:
    for kind in ("encoder", "decoder"):
        one = planted(words, {(1, 1, 0, 0): 1.0}, kind)
        assert choose_tile(one, None, None).layer is not None
        assert candidates(one, 2).shape == one.reach.shape


def test_what_no_map_has_is_refused_and_a_smaller_map_gives_its_last() -> None:
    large, small = planted("a b c", {}, layers=3), planted("a b c", {}, layers=2)
    assert choose_tile(small, 2, 3) == Tile(1, 3)
    check_tile((large, small), 2, 3)
    for layer, head in ((3, None), (None, 4), (-1, None)):
        with pytest.raises(UsageError, match="counted from 0, so give 0 to"):
            check_tile((large, small), layer, head)
