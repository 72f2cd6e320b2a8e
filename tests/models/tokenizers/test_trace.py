"""What a trace shows is what the tokenizer does, and the classic example comes out as in the paper."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, trainers

from maskfork import load_tokenizer, train_tokenizer
from maskfork.errors import UsageError
from maskfork.models.tokenizers import wordpiece
from maskfork.models.tokenizers.learned import learn_bpe, learn_wordpiece, read_words
from maskfork.models.tokenizers.trace import trace

CLASSIC = "low*5 lower*2 newest*6 widest*3"


def test_the_paper(tmp_path: Path) -> None:
    """Sennrich et al. 2016, algorithm 1 with the dictionary of section 3.2."""
    steps = learn_bpe(read_words(CLASSIC), 5, ends=True).steps
    assert [(s.left, s.right, s.count) for s in steps] == [
        ("e", "s", 9), ("es", "t", 9), ("est", "</w>", 9), ("l", "o", 7), ("lo", "w", 7),
    ]  # fmt: skip


def test_words() -> None:
    assert read_words("low low×2 lower a*b") == Counter({"low": 3, "lower": 1, "a*b": 1})
    for nothing in ("", "  ", "low*0"):
        with pytest.raises(UsageError, match="no words"):
            read_words(nothing)


@pytest.mark.parametrize("seed", range(4))
def test_bpe_is_learned_as_the_library_does(seed: int) -> None:
    rng = random.Random(seed)
    text = " ".join("".join(rng.choices("abcd", k=rng.randint(1, 6))) for _ in range(80))
    text = CLASSIC.replace("*", "") if seed == 0 else text
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.train_from_iterator([text], trainers.BpeTrainer(vocab_size=60, min_frequency=1, show_progress=False))
    vocabulary = inner.get_vocab()
    letters = len({c for c in text if c != " "})
    learned = learn_bpe(read_words(text), 60 - letters)
    assert learned.tokens == sorted(vocabulary, key=vocabulary.__getitem__)
    for word, _, pieces in learned.words:
        assert inner.encode(word).tokens == pieces


def test_wordpiece_by_count_is_learned_as_the_library_does() -> None:
    rng = random.Random(5)
    text = " ".join("".join(rng.choices("abcde", k=rng.randint(1, 6))) for _ in range(80))
    pipeline = tokenizers.Tokenizer(models.WordPiece())
    pipeline.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    vocabulary = wordpiece.learn(Counter(text.split()), pipeline, 70, ["[UNK]"], "[UNK]", 1)
    learned = learn_wordpiece(read_words(text), 60, "count")
    assert set(vocabulary) - {"[UNK]"} == set(learned.tokens[:69])


def test_wordpiece_by_score() -> None:
    first = learn_wordpiece(read_words(CLASSIC), 1).steps[0]
    assert (first.left, first.right, first.token, first.count) == ("##i", "##d", "##id", 3)  # "w ##i" scores the same
    assert first.score == pytest.approx(3 / (3 * 3))
    assert all(s.score <= first.score for s in learn_wordpiece(read_words(CLASSIC), 5).steps[:2])


@pytest.mark.parametrize("family", ["gpt2", "bert", "t5", "llama"])
def test_a_trace_ends_where_the_tokenizer_does(tmp_path: Path, family: str) -> None:
    file = tmp_path / "text.txt"
    file.write_text("the cat sat on the mat. lower and lowest, newest and widest: how odd! " * 30)
    made = train_tokenizer([file], vocab_size=420, family=family)
    text = "the lowest cats, widening; q"
    words = trace(made, text)
    assert [i for w in words for i in w.ids] == made.encode(text, special=False)
    for word in words:
        if word.merges:
            assert word.merges[-1].pieces == word.pieces
            ranks = [m.rank for m in word.merges]
            assert len(set(ranks)) >= 1
        if word.matches and word.matches[-1].token is not None:
            assert [m.token for m in word.matches] == word.pieces
        if word.paths:
            assert word.paths[0][0] == pytest.approx(sum(e.score for e in word.edges if e.chosen))
            assert [score for score, _ in word.paths] == sorted((score for score, _ in word.paths), reverse=True)
            assert all("".join(pieces) == word.word for _, pieces in word.paths)
            if all(made.id(piece) is not None for piece in word.pieces):
                assert word.paths[0][1] == word.pieces


def test_every_path_of_a_small_lattice(tmp_path: Path) -> None:
    inner = tokenizers.Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0), ("ab", -2.5), ("ba", -4.0)], unk_id=0))
    from maskfork.models.tokenizers import Tokenizer

    (one,) = trace(Tokenizer(inner), "aba", best=10)
    assert [(round(score, 6), pieces) for score, pieces in one.paths] == [
        (-3.5, ["ab", "a"]), (-4.0, ["a", "b", "a"]), (-5.0, ["a", "ba"]),
    ]  # fmt: skip
    assert one.pieces == ["ab", "a"]


def test_published_words(data_dir: Path) -> None:
    folder = data_dir / "tokenizers"
    if not folder.is_dir():
        pytest.skip(f"no tokenizers at {folder}")
    (one,) = trace(load_tokenizer(folder / "bert/bert_base_uncased_vocab.txt"), "unaffordable")
    assert one.pieces == ["una", "##ff", "##ord", "##able"]
    assert [m.tried for m in one.matches] == [9, 7, 4, 0]
