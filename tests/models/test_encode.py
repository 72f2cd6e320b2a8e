"""Texts to ids: what a limit cuts is counted, special tokens stay, an empty text is still a text."""

from __future__ import annotations

import pytest

from maskfork.errors import TokenizerError
from maskfork.models.encode import encode, limit_of, wants_types
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
