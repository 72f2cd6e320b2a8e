"""Token for token with other programs' vectors: llama.cpp's for BERT, GPT-2 and Llama, and the same vocabulary in other files."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import pytest

from maskfork import load_tokenizer
from maskfork.models.tokenizers import Tokenizer
from tests.models.tokenizers.texts import odd_texts

VECTORS = (
    ("bert-bge", "bert/bert_base_uncased_vocab.txt"),
    ("gpt-2", "gpt2/encoder.json"),
    ("gpt-2", "gpt2/vocab.bpe"),
    ("gpt-2", "gpt2"),
    ("gpt-2", "tiktoken/gpt2.tiktoken"),
    ("llama-spm", "llama/tokenizer.model"),
    ("llama-spm", "llama/tokenizer.bin"),
)


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    found = data_dir / "tokenizers"
    if not found.is_dir():
        pytest.skip(f"no tokenizers at {found}")
    return found


@cache
def loaded(path: Path) -> Tokenizer:
    return load_tokenizer(path)


@pytest.mark.parametrize(("name", "file"), VECTORS)
def test_llama_cpp(folder: Path, name: str, file: str) -> None:
    stem = folder / "llama_cpp" / f"ggml-vocab-{name}.gguf"
    texts = Path(f"{stem}.inp").read_bytes().decode("utf-8").split("\n__ggml_vocab_test__\n")
    wanted = Path(f"{stem}.out").read_text("utf-8").split("\n")[: len(texts)]
    tokenizer = loaded(folder / file)
    assert len(texts) == 47
    assert [tokenizer.encode(t, special=False) for t in texts] == [[int(i) for i in line.split()] for line in wanted]


@pytest.mark.parametrize(("one", "other"), [("gpt2", "tiktoken/gpt2.tiktoken"), ("llama/tokenizer.model", "llama/tokenizer.bin")])
def test_two_files_of_one_vocabulary(folder: Path, one: str, other: str) -> None:
    a, b = loaded(folder / one), loaded(folder / other)
    assert a.inner.get_vocab(with_added_tokens=True) == b.inner.get_vocab(with_added_tokens=True)
    for text in odd_texts(random.Random(3), 300):
        assert a.encode(text) == b.encode(text), ascii(text)


def test_t5_is_the_published_one(folder: Path) -> None:
    """Where both are fed ordinary text: theirs looks at one grapheme at a time and loses some accents."""
    ours, theirs = loaded(folder / "t5/spiece.model"), loaded(folder / "hf_json/t5-small")
    assert ours.inner.get_vocab(with_added_tokens=True) == theirs.inner.get_vocab(with_added_tokens=True)
    for text in ("The house is wonderful.", "  two  blanks \n\t", "Das ist <extra_id_0> gut </s> <unk>!", "été ① ﬁne", ""):
        assert ours.encode(text) == theirs.encode(text), text


def test_the_choice_is_said(folder: Path) -> None:
    said = {file: loaded(folder / file).notes for _, file in VECTORS}
    assert "WordPiece, lower-cased (0 of 30,522" in said["bert/bert_base_uncased_vocab.txt"][0]
    assert "cased (8,366 of" in loaded(folder / "bert/bert_base_cased_vocab.txt").notes[0]
    assert "GPT-2's word pattern" in said["gpt2"][0]
    assert "tiktoken ranks of gpt2" in said["tiktoken/gpt2.tiktoken"][0]
    assert "SentencePiece BPE with Llama's <s>" in said["llama/tokenizer.model"][0]
    assert loaded(folder / "hf_json/roberta-base").notes == []  # a tokenizer.json leaves nothing open
