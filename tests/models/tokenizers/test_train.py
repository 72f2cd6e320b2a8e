"""Training: the same vocabulary every time, in the family's shape, from any file, in memory that does not grow with it."""

from __future__ import annotations

import gzip
import json
import random
import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from maskfork import load_tokenizer, train_tokenizer
from maskfork.errors import DataError, TokenizerError, UsageError
from maskfork.models.tokenizers import unigram
from maskfork.models.tokenizers.texts import rows, stream

LINES = [
    "the cat sat on the mat",
    "lower and lowest, newest and widest: été!",
    "One sees 123 cats; don't you?",
    "low low low",
] * 8


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text("\n".join(LINES) + "\n", "utf-8")
    return file


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "llama", "roberta"])
def test_twice_the_same(text: Path, kind: str, family: str) -> None:
    size = 420 if family == "llama" else 400
    one, two = (train_tokenizer([text], kind, size, family) for _ in range(2))
    assert one.inner.to_str() == two.inner.to_str()
    assert one.kind == kind


def test_ties_do_not_depend_on_the_run(tmp_path: Path) -> None:
    """Words of random letters: nearly all counts are equal, so every step is a tie."""
    rng = random.Random(0)
    file = tmp_path / "ties.txt"
    file.write_text(" ".join("".join(rng.choices("abcdefghij", k=5)) for _ in range(4000)))
    for kind in ("bpe", "wordpiece"):
        assert len({train_tokenizer([file], kind, 700, "bert", least=1).inner.to_str() for _ in range(4)}) == 1


@pytest.mark.parametrize(("family", "first", "around"), [
    ("bert", ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], ("[CLS]", "[SEP]")),
    ("roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"], ("<s>", "</s>")),
    ("gpt2", ["<|endoftext|>"], ("low", "low")),
    ("t5", ["<pad>", "</s>", "<unk>"], ("▁low", "</s>")),
    ("llama", ["<unk>", "<s>", "</s>", "<0x00>"], ("<s>", "▁low")),
    ("mistral", ["<unk>", "<s>", "</s>", "<0x00>"], ("<s>", "▁low")),
])  # fmt: skip
def test_a_familys_shape(text: Path, family: str, first: list[str], around: tuple[str, str]) -> None:
    made = train_tokenizer([text], vocab_size=400, family=family)
    assert [made.token(i) for i in range(len(first))] == first
    ids = made.encode("low")
    assert (made.token(ids[0]), made.token(ids[-1])) == around
    if family == "t5":
        assert made.token(made.size - 1) == "<extra_id_0>"
    if family in ("gpt2", "roberta", "llama"):
        assert made.decode(made.encode("Ünknown 🦙\n\n x")) == "Ünknown 🦙\n\n x"


def test_the_size_is_the_whole_size(text: Path) -> None:
    for family in ("bert", "gpt2", "llama", "t5"):
        assert train_tokenizer([text], vocab_size=280, family=family).size <= 280
    exact = train_tokenizer([text], "bpe", 300, least=1)
    assert exact.size == 300
    less = train_tokenizer([text], "bpe", 30_000)
    assert "the texts give only" in less.notes[0]


def test_lower_case_and_bytes_are_asked_for(text: Path) -> None:
    assert train_tokenizer([text], family="bert", lower=False, vocab_size=200).id("O") is not None
    assert train_tokenizer([text], family="bert", vocab_size=200).id("O") is None
    letters = train_tokenizer([text], family="gpt2", bytes_=False, vocab_size=200)
    assert letters.id("▁") is not None
    assert letters.id("Ġ") is None
    with pytest.raises(UsageError, match="only a BPE"):
        train_tokenizer([text], "wordpiece", bytes_=True)


@pytest.mark.parametrize("kind", ["bpe", "wordpiece", "unigram"])
def test_the_same_from_every_kind_of_file(tmp_path: Path, text: Path, kind: str) -> None:
    jsonl, packed, parquet = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz", tmp_path / "a.parquet"
    jsonl.write_text("".join(json.dumps({"text": line + "\n"}) + "\n" for line in LINES), "utf-8")
    packed.write_bytes(gzip.compress(jsonl.read_bytes()))
    pl.DataFrame({"text": [line + "\n" for line in LINES]}).write_parquet(parquet)
    vocabularies = [train_tokenizer([f], kind, 300, "bert").inner.get_vocab() for f in (jsonl, packed, parquet)]
    assert vocabularies[0] == vocabularies[1] == vocabularies[2]
    assert train_tokenizer([text], kind, 300, "bert").size > 20


def test_another_like_it(text: Path, tmp_path: Path) -> None:
    """The pipeline and the special tokens stay, at their places; the rest is learned anew."""
    for family in ("bert", "roberta", "t5", "llama", "xlnet"):
        one = train_tokenizer([text], vocab_size=420, family=family)
        two = one.train([text], 400)
        assert two.size <= 400
        assert two.special("unk") == one.special("unk")
        assert [two.token(i) for i in two.encode("")] == [one.token(i) for i in one.encode("")]
        assert two.decode(two.encode("the low cat")) == one.decode(one.encode("the low cat"))
        assert load_tokenizer(two.save(tmp_path / family)).encode("the low") == two.encode("the low")
    with pytest.raises(UsageError, match="no room"):
        one.train([text], 5)


def test_sentencepiece_is_optional(text: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unigram, "has_sentencepiece", lambda: False)
    one, two = (train_tokenizer([text], "unigram", 200) for _ in range(2))
    assert one.inner.to_str() == two.inner.to_str()
    assert "pip install sentencepiece" in one.notes[0]
    assert one.decode(one.encode("the  cat sat")) == "the cat sat"


def test_what_cannot_be(tmp_path: Path, text: Path) -> None:
    for ask, kind, says in (
        (lambda: train_tokenizer([], "bpe"), UsageError, "nothing to learn from"),
        (lambda: train_tokenizer([tmp_path / "no"]), DataError, "there is no file"),
        (lambda: train_tokenizer([tmp_path]), DataError, "is a folder"),
        (lambda: train_tokenizer([text], "odd"), UsageError, "there is no kind 'odd'"),
        (lambda: train_tokenizer([text], family="odd"), UsageError, "there is no recipe for 'odd'"),
        (lambda: train_tokenizer([text], vocab_size=20), UsageError, "no room"),
        (lambda: train_tokenizer([text], "unigram", 110), TokenizerError, "no room for the letters"),
    ):
        with pytest.raises(kind, match=says):
            ask()
    (tmp_path / "blank.txt").write_text("\n \n")
    for kind in ("wordpiece", "unigram"):
        with pytest.raises(TokenizerError, match="hold no words"):
            train_tokenizer([tmp_path / "blank.txt"], kind, 200)


def test_damaged_files(tmp_path: Path) -> None:
    whole = gzip.compress(b"the cat sat on the mat. " * 5000)
    for name, content, says in (
        ("cut.gz", whole[: len(whole) // 2], "damaged or cut off"),
        ("a.jsonl", b'{"text": "a"}\n{oops\n', "line 2 .* no JSON"),
        ("b.jsonl", b'{"body": "a"}\n', "no text in 'text' .*'body'.*--column"),
        ("latin.txt", "Übel".encode("latin-1"), "no UTF-8"),
        ("a.zst", b"\x28\xb5\x2f\xfd0000", "zstd"),
        ("a.parquet", b"PAR1 and no more", "damaged parquet"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=says):
            list(stream([tmp_path / name]))


def test_blocks_and_lines(tmp_path: Path) -> None:
    file = tmp_path / "long.txt"
    whole = "\n".join(" ".join(["word"] * (i % 50)) for i in range(4000)) + "\nlast"
    file.write_text(whole)
    moved: list[int] = []
    assert "".join(stream([file], moved=moved.append)) == whole
    assert sum(moved) == file.stat().st_size
    assert list(rows([file])) == [line for line in whole.split("\n") if line]


def test_memory_stays_flat(tmp_path: Path) -> None:
    peaks = []
    for times in (400, 8000):
        file = tmp_path / f"{times}.txt"
        file.write_text("the cat sat on the mat and saw the dog lie low. " * 20 * times)
        tracemalloc.start()
        for _ in stream([file]):
            continue
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0] + 1_000_000
