"""Counting tokens, and the guard."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork import load_tokenizer, train_tokenizer
from maskfork.errors import DataError, TokenizerError
from maskfork.models.hub import build
from maskfork.models.tokenizers import Tokenizer
from maskfork.models.tokenizers.compare import measure
from maskfork.models.tokenizers.guard import check


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "text.txt"
    file.write_text("the cat sat on the mat. Lower and lowest, newest and widest: how odd!\n" * 30)
    return file


@pytest.fixture(scope="module")
def bert(text: Path) -> Tokenizer:
    return train_tokenizer([text], vocab_size=120, family="bert")


def test_counts(bert: Tokenizer) -> None:
    texts = ["the cat", "the 東京 mat", "cat " * 20]
    (m,) = measure([("bert", bert)], texts, limit=12)
    lengths = [len(bert.encode(t, special=False)) for t in texts]
    assert m.tokens == sum(lengths)
    assert m.characters == sum(map(len, texts))
    assert m.tokens_per_1000_characters == pytest.approx(1000 * m.tokens / m.characters)
    assert m.bytes_per_token == pytest.approx(sum(len(t.encode()) for t in texts) / m.tokens)
    assert m.unknown == 2
    assert (m.cut, m.lost) == (1, lengths[2] + 2 - 12)
    assert m.lost_share == pytest.approx(m.lost / (m.tokens + 6))
    with pytest.raises(DataError, match="no text"):
        measure([("bert", bert)], [])


def model(folder: Path, tokenizer: Tokenizer | None, size: int = 120) -> Path:
    config = {"model_type": "bert", "vocab_size": size, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
              "intermediate_size": 16, "max_position_embeddings": 32, "type_vocab_size": 2, "pad_token_id": 0}  # fmt: skip
    made = build(config, "masked_lm")
    made.tokenizer = tokenizer
    made.save(folder)
    return folder


def test_the_models_own_fits(bert: Tokenizer, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", bert)
    assert check(folder, folder).compared == bert.size
    assert check(folder, bert).remarks == []
    (folder / "model.safetensors").unlink()  # no weight is read
    assert check(folder, bert).vocabulary == 120


def test_others_do_not(bert: Tokenizer, text: Path, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", bert)
    for other, says in (
        (train_tokenizer([text], "wordpiece", 120, "bert", lower=False), r"another model's tokenizer: '.*' is token \d+ of"),
        (train_tokenizer([text], "bpe", 300, "bert"), "has no vector"),
    ):
        with pytest.raises(TokenizerError, match=says) as caught:
            check(folder, other, "other.json")
        assert "other.json" in str(caught.value)
    cased = load_tokenizer(bert.save(tmp_path / "t"))
    cased.inner.normalizer = None
    with pytest.raises(TokenizerError, match="reads text otherwise: in 'The movie"):
        check(folder, cased)


def test_a_model_without_a_tokenizer(bert: Tokenizer, tmp_path: Path) -> None:
    folder = model(tmp_path / "m", None)
    fit = check(folder, bert)
    assert fit.compared == 0
    assert "no tokenizer to compare with" in fit.remarks[0]
