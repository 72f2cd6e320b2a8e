"""Indexes find what looking at all finds; doubles are found by text, words and vectors; indexes live in folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import ModelError, UsageError
from maskfork.learn.search import Index, doubles
from maskfork.learn.tasks.embed.base import base_encoder
from tests.learn.tiny import make, sentences

TEXTS = sentences(60, 3)[0]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert").save(tmp_path_factory.mktemp("base"))


def test_the_nearest_are_found_and_an_index_comes_back(base: Path, tmp_path: Path) -> None:
    encoder = base_encoder(base)
    made = Index.build(encoder, TEXTS, model=str(base))
    queries = encoder.encode(["a lovely film", TEXTS[7]], normalize=True)
    hits = made.find(queries, 5)
    best = np.argsort(-(encoder.encode(TEXTS, normalize=True) @ queries.T), axis=0)[:5].T
    assert [[hit.row for hit in one] for one in hits] == best.tolist()
    assert hits[1][0].text == TEXTS[7]
    assert hits[1][0].score == pytest.approx(1.0, abs=1e-6)
    again = Index.open(made.save(tmp_path / "index"))
    assert again.find(queries, 5) == hits
    again.check(encoder)
    with pytest.raises(UsageError, match="index them anew"):
        again.check(base_encoder(make("bert", seed=1).save(tmp_path / "other")))
    with pytest.raises(UsageError, match="something else"):
        made.save(base)
    (tmp_path / "index" / "texts.jsonl").write_text('{"id": "1", "text": "a"}\n', "utf-8")
    with pytest.raises(ModelError, match="not whole"):
        Index.open(tmp_path / "index")


def test_a_graph_finds_what_looking_at_all_finds(tmp_path: Path) -> None:
    pytest.importorskip("usearch")
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    texts = [str(i) for i in range(2000)]
    exact = Index(texts, texts, vectors, "m")
    from maskfork.learn.search import index as module

    graph = Index(texts, texts, vectors, "m", _graph=module._graph_of(vectors))
    graph = Index.open(graph.save(tmp_path / "index"))
    queries = vectors[:50]
    same = [len({h.row for h in a} & {h.row for h in b}) for a, b in zip(exact.find(queries), graph.find(queries), strict=True)]
    assert np.mean(same) >= 9.5
    assert all(hits[0].row == i for i, hits in enumerate(graph.find(queries)))


def test_doubles_by_text_words_and_vectors() -> None:
    long = "the quick brown fox jumps over the lazy dog and runs far away into the dark wood at night"
    texts = [long, "something else", long.upper(), long.replace("night", "dawn"), "a third", "near the third"]
    vectors = np.eye(6, dtype=np.float32)
    vectors[5] = np.array([0, 0, 0, 0, 0.98, np.sqrt(1 - 0.98**2)])
    found = doubles(texts, vectors, 0.95)
    assert found.group.tolist() == [0, 1, 0, 0, 4, 4]
    assert (found.exact, found.words, found.vectors) == (1, 1, 1)
    assert found.kept.tolist() == [0, 1, 4]
    assert [pair[:2] for pair in found.pairs] == [(4, 5)]
    assert doubles(texts, vectors, 0.99).kept.tolist() == [0, 1, 4, 5]
    assert doubles(texts, vectors, 0.95, by_words=None).group.tolist() == [0, 1, 0, 3, 4, 4]


def test_blocks_miss_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("maskfork.learn.search.near.BLOCK", 7)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(40, 3)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found = doubles([f"text number {i}" for i in range(40)], vectors, 0.9, by_words=None)
    wanted = {(a, b) for a in range(40) for b in range(a + 1, 40) if float(vectors[a] @ vectors[b]) >= 0.9}
    assert {pair[:2] for pair in found.pairs} == wanted
    assert json.dumps(found.pairs)
