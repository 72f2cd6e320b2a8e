"""Texts to ids: what a limit cuts is counted, special tokens stay, an empty text is still a text."""

from __future__ import annotations

from itertools import pairwise

import pytest
import tokenizers

from maskfork.errors import DataError, TokenizerError
from maskfork.models.encode import encode, encode_windows, limit_of, wants_types
from maskfork.models.windows import both_ends, windows
from tests.learn.tiny import make

LONG = "film story scene " * 40


def test_what_is_cut_is_counted() -> None:
    model = make("bert")
    whole = len(model.tokenizer.encode(LONG))
    encoding = encode(model, ["a film", LONG])
    assert encoding.lengths[1] == model.spec.max_length == 64
    assert encoding.lost == [0, whole - 64]
    ends = [model.tokenizer.special("cls"), model.tokenizer.special("sep")]
    assert [encoding.ids[1][0], encoding.ids[1][-1]] == ends
    note = encoding.lost_note(64)
    assert note is not None
    assert note.startswith(f"1 of 2 texts are longer than 64 tokens: {whole - 64} tokens (")
    assert f"({(whole - 64) / (whole + len(encoding.ids[0])):.1%})" in note
    assert encode(model, ["a film"]).lost_note(64) is None


def test_the_smaller_limit_holds() -> None:
    model = make("bert")
    assert (limit_of(model, None), limit_of(model, 10), limit_of(model, 1000)) == (64, 10, 64)
    assert encode(model, [LONG], None, 10).lengths == [10]
    assert limit_of(make("t5"), None) is None
    assert encode(make("t5"), [LONG]).lost == [0]


def test_a_limit_without_room_is_one_sentence() -> None:
    model = make("bert")
    for limit, pairs in ((1, None), (1, ["a"]), (2, ["a"])):
        with pytest.raises(TokenizerError, match="leaves no room"):
            encode(model, [LONG], pairs, limit)
    assert encode(model, [LONG], None, 2).lengths == [2]


def test_pairs_have_types_and_both_sides_give_way() -> None:
    model = make("bert")
    encoding = encode(model, ["a film", LONG, "a film"], ["the plot", "the plot", LONG])
    assert encoding.types is not None
    sep = model.tokenizer.special("sep")
    for ids, types in zip(encoding.ids, encoding.types, strict=True):
        first = ids.index(sep)
        assert types == [0] * (first + 1) + [1] * (len(ids) - first - 1)
        assert ids.count(sep) == 2
    assert encoding.lost[0] == 0
    assert min(encoding.lost[1:]) > 0
    short = model.tokenizer.encode("the plot", special=False)
    assert encoding.ids[1][-len(short) - 1 : -1] == short  # the shorter side is whole


@pytest.mark.parametrize("family", ["bert", "bart"])
@pytest.mark.parametrize("direction", ["right", "left"])
def test_texts_are_cut_as_tokenizers_cuts_them(family: str, direction: str) -> None:
    tokenizer = make(family, "none" if family == "bert" else "causal_lm").tokenizer
    for limit in range(4, 30):
        theirs = tokenizers.Tokenizer.from_str(tokenizer.inner.to_str())
        theirs.enable_truncation(limit, strategy="longest_first", direction=direction)
        for text, pair in (("film", LONG), (LONG, "film a scene"), (LONG, LONG), (LONG, LONG + "a"), (LONG, None)):
            (found,) = tokenizer.encode_many([text], None if pair is None else [pair], limit=limit, last=direction == "left")
            (wanted,) = theirs.encode_batch([text if pair is None else (text, pair)])
            assert found.ids == wanted.ids, (limit, text[:9], pair)


@pytest.mark.parametrize(("family", "wanted"), [("bert", True), ("gpt2", False), ("bart", False), ("t5", False)])
def test_types_where_the_model_tells_them_apart(family: str, wanted: bool) -> None:
    model = make(family)
    assert wants_types(model) is wanted
    assert (encode(model, ["a film"]).types is not None) is wanted


def test_one_type_is_none() -> None:
    assert encode(make("bert", type_vocab_size=1), ["a"], ["b"]).types is None


def test_an_empty_text_is_its_end_token() -> None:
    model = make("gpt2")
    assert encode(model, ["", "a"]).ids[0] == [model.tokenizer.special("eos")]
    model.tokenizer.config.clear()
    with pytest.raises(TokenizerError, match="names no end-of-text token"):
        encode(model, [""])


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "bart", "t5"])
@pytest.mark.parametrize("pair", [None, "the plot", LONG])
def test_windows_hold_every_token(family: str, pair: str | None) -> None:
    """Every token of either side is in a window, special tokens stand as the whole text has them, no window is too long."""
    model = make(family)
    text = " ".join(f"{word} {n}" for n, word in enumerate(LONG.split()))
    pairs = None if pair is None else [pair]
    whole, sides = model.tokenizer.encode_sided(text, pair)
    found = encode_windows(model, [text], pairs, 30, overlap=4)
    assert len(found) == 1
    assert found.starts[1] == len(found.encoding.ids) > 3
    assert max(found.encoding.lengths) <= 30
    assert found.encoding.lost == [0] * found.starts[1]
    cut = windows(sides, 30, 4)
    assert [[whole.ids[i] for i in part] for part in cut] == found.encoding.ids
    assert {i for part in cut for i in part} == set(range(len(whole.ids)))
    special = [t for t, side in zip(whole.ids, sides, strict=True) if side is None]
    for part in cut:
        assert [whole.ids[i] for i in part if sides[i] is None] == special
    if pair is None:
        own = [[i for i in part if sides[i] is not None] for part in cut]
        assert all(len(set(a) & set(b)) >= 4 for a, b in pairwise(own))


def test_a_short_text_is_one_window() -> None:
    model = make("bert")
    found = encode_windows(model, ["a film", LONG, "the plot"])
    plain = encode(model, ["a film", "the plot"])
    assert [found.encoding.ids[0], found.encoding.ids[-1]] == plain.ids
    assert (found.starts[:2], found.starts[-1] - found.starts[-2]) == ([0, 1], 1)
    assert found.lengths[0] == plain.lengths[0]
    assert found.note == "1 of 3 texts are longer than 64 tokens and are read in windows; no token is lost"
    assert encode_windows(model, ["a film"]).note is None


@pytest.mark.parametrize("pair", [None, "the plot", LONG])
def test_both_ends_are_kept(pair: str | None) -> None:
    model = make("bert")
    pairs = None if pair is None else [pair]
    text = " ".join(f"{word} {n}" for n, word in enumerate(LONG.split()))
    whole, sides = model.tokenizer.encode_sided(text, pair)
    found = encode(model, [text], pairs, 30, "head+tail")
    assert found.lengths == [30]
    assert found.lost == [len(whole.ids) - 30]
    assert "cut out of their middle" in (found.lost_note(30) or "")
    kept = both_ends(sides, 30)
    first = [i for i in kept if sides[i] == 0]
    own = [i for i, side in enumerate(sides) if side == 0]
    head = round(0.25 * len(first))
    assert first == own[:head] + own[len(own) - len(first) + head :]
    assert encode(model, ["a film"], None, 30, "head+tail").ids == encode(model, ["a film"]).ids


def test_a_long_text_is_refused_where_asked() -> None:
    model = make("bert")
    whole = len(model.tokenizer.encode(LONG))
    with pytest.raises(DataError, match=rf"1 of 2 texts are longer than 64 tokens \(text 2 has {whole}\)"):
        encode(model, ["a film", LONG], on_long="error")
    assert encode(model, ["a film"], on_long="error").lost == [0]
    for way in ("head+tail", "chunk"):
        with pytest.raises(TokenizerError, match="leaves no room"):
            encode(model, [LONG], None, 2, "head+tail") if way == "head+tail" else encode_windows(model, [LONG], None, 2)
