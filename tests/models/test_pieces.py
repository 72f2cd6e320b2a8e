"""Tokens as people read them, for every way of marking words."""

from __future__ import annotations

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from maskfork.models.tokenizers import Tokenizer
from maskfork.models.tokenizers.pieces import pieces, scheme_of


def with_vocabulary(names: list[str], decoder: object) -> Tokenizer:
    inner = tokenizers.Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token=names[0]))
    inner.decoder = decoder  # type: ignore[assignment]
    return Tokenizer(inner)


def read(names: list[str], decoder: object, special: set[str] | None = None) -> list[str]:
    return pieces(with_vocabulary(names, decoder), range(len(names)), [n in (special or set()) for n in names])


BPE_ENDS = decoders.BPEDecoder(suffix="</w>")
LLAMA = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


@pytest.mark.parametrize(
    ("decoder", "raw", "shown", "scheme"),
    [
        (decoders.WordPiece(), ["[CLS]", "una", "##ff", "##ord", "'", "t", "##"],
         ["[CLS]", "una", "·ff", "·ord", "'", "t", "##"], "wordpiece"),
        (decoders.ByteLevel(), ["The", "Ġun", "aff", "'t", "Ġ", "Ċ", ",", "Ã©"],
         ["The", "un", "·aff", "'t", " ", "\n", ",", "é"], "bytes"),
        (decoders.ByteLevel(), ["ð", "ŁĳĮ", "Ġa", "Ã©"], ["⟨F0⟩", "⟨9F 91 8C⟩", "a", "·é"], "bytes"),
        (decoders.Metaspace(), ["▁un", "afford", ".", "▁", "able"], ["un", "·afford", ".", " ", "able"], "metaspace"),
        (LLAMA, ["▁un", "able", "<0x0A>", "▁the"], ["un", "·able", "⟨0A⟩", "the"], "metaspace"),
        (BPE_ENDS, ["un", "affordable</w>", ".</w>", "the</w>", "old</w>"], ["un", "·affordable", ".", "the", "old"], "ends"),
    ],
)  # fmt: skip
def test_pieces(decoder: object, raw: list[str], shown: list[str], scheme: str) -> None:
    tokenizer = with_vocabulary(raw, decoder)
    assert scheme_of(tokenizer) == scheme
    assert pieces(tokenizer, range(len(raw)), [n == "[CLS]" for n in raw]) == shown


def test_a_special_token_stays_as_it_is_and_ends_a_word() -> None:
    assert read(["un", "<s>", "afford"], decoders.ByteLevel(), {"<s>"}) == ["un", "<s>", "afford"]
    assert read(["un", "##able", "[SEP]", "##s"], decoders.WordPiece(), {"[SEP]"}) == ["un", "·able", "[SEP]", "s"]


def test_a_tokenizer_without_a_decoder_is_known_by_its_vocabulary() -> None:
    for names, scheme in ((["Ġ", "a"], "bytes"), (["▁", "a"], "metaspace"), (["##s", "a"], "wordpiece"), (["a", "b"], "plain")):
        inner = tokenizers.Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="a"))
        assert scheme_of(Tokenizer(inner)) == scheme


def test_all_bytes_have_a_letter() -> None:
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    shown = read(letters, decoders.ByteLevel())
    assert len(shown) == 256
    assert {s.removeprefix("·") for s in shown} >= {"A", "z", " ", "\n", "⟨FF⟩"}
