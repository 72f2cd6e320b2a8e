"""Parts of a corpus: held out by hash, cut in order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.corpus import Corpus, build_corpus
from tests.learn.data.corpus.small import jsonl, texts, tokenizer


def corpus_of(folder: Path, found: list[str], kind: str = "bytes", shard_tokens: int = 3000) -> Corpus:
    build_corpus([jsonl(folder.with_suffix(".jsonl"), found)], tokenizer(kind), folder, shard_tokens=shard_tokens)
    return Corpus.open(folder)


def held(corpus: Corpus, share: float, seed: int = 0) -> set[str]:
    return {corpus.tokenizer.decode(d.ids.tolist()) for d in corpus.split(share, seed)[1].documents()}


def test_holding_out_is_stable(tmp_path: Path) -> None:
    found = texts(1000)
    first = corpus_of(tmp_path / "a", found)
    train, out = first.split(0.2)
    assert len(train) + len(out) == 1000
    assert 150 < len(out) < 250
    assert not set(train.hashes.tolist()) & set(out.hashes.tolist())
    # Another order, other shards and more documents: who was held out still is, and so are their doubles.
    more = corpus_of(tmp_path / "b", [*texts(300, seed=7), *found[::-1], *found[:100]], shard_tokens=1700)
    again = held(more, 0.2)
    assert again & set(found) == held(first, 0.2)
    assert len(more.split(0.2)[1]) > len(again)
    assert held(first, 0.1) < held(first, 0.2)  # a larger share holds out more, not others
    assert held(first, 0.2, seed=1) != held(first, 0.2)


def test_cutting_keeps_every_token(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "a", texts(100))
    everything = np.concatenate([d.ids for d in corpus.documents()])
    for share in (0.1, 0.5, 0.9, 1e-3):
        head, tail = corpus.cut(share)
        assert tail.tokens == int(corpus.tokens * share)
        joined = np.concatenate([d.ids for part in (head, tail) for d in part.documents()])
        assert np.array_equal(joined, everything)
        assert all(len(d.ids) == len(d.begins) > 0 for part in (head, tail) for d in part.documents())
    assert len({corpus.digest, *(part.digest for part in corpus.cut(0.5))}) == 3


def test_one_document_cannot_be_split_and_says_so(tmp_path: Path) -> None:
    corpus = corpus_of(tmp_path / "a", texts(1))
    with pytest.raises(UsageError, match=r"of 1 documents (all|none) would be held out: hold out the end of the text"):
        corpus.split(0.5)
    for wrong in (0.0, 1.0, -1.0):
        with pytest.raises(UsageError, match="lies between 0 and 1"):
            corpus.split(wrong)
        with pytest.raises(UsageError, match="lies between 0 and 1"):
            corpus.cut(wrong)


def test_documents_in_any_order(tmp_path: Path) -> None:
    found = texts(50)
    corpus = corpus_of(tmp_path / "a", found, shard_tokens=300)
    order = [7, 3, 49]
    assert [corpus.tokenizer.decode(d.ids.tolist()) for d in corpus.documents(order)] == [found[i] for i in order]
    assert corpus.ids(3, 2, 5).tolist() == corpus.ids(3).tolist()[2:5]
    assert corpus.begins(3, 2, 5).tolist() == corpus.begins(3).tolist()[2:5]


def test_no_corpus_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no corpus: make one with `maskfork corpus build FILES --tokenizer T -o"):
        Corpus.open(tmp_path)
    (tmp_path / "index.json").write_text("{")
    with pytest.raises(DataError, match=r"index\.json is torn"):
        Corpus.open(tmp_path)
