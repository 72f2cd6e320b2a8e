"""Static students: another library reads the folder the same way, and training finds the words that decide."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork.decide.compare.winner import answerer, open_predictor
from maskfork.decide.distill.phrases import phrases
from maskfork.decide.distill.static import SETTINGS, token_vectors, train_static
from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.static import StaticClassifier
from tests.learn.tiny import make, sentences

NAMES = ("bad", "good")


@pytest.fixture(scope="module")
def static(tmp_path_factory: pytest.TempPathFactory) -> tuple[StaticClassifier, Path]:
    texts, labels = sentences(300)
    beliefs = np.where(labels[:, None] == [0, 1], 0.9, 0.1)
    made = train_static(make("bert", "classify", labels=NAMES), texts, beliefs, NAMES, width=16, settings=SETTINGS)
    return made, made.save(tmp_path_factory.mktemp("static"))


def test_it_learns_what_it_was_told_and_its_folder_opens(static: tuple[StaticClassifier, Path]) -> None:
    made, folder = static
    texts, labels = sentences(200, 5)
    opened = open_predictor(folder)
    probs = opened.predict(texts)
    assert (probs.argmax(1) == labels).mean() > 0.97
    np.testing.assert_array_equal(probs, made.predict(texts))
    first, empty = answerer(opened)([{"text": texts[0]}, {"text": ""}])
    assert (first["label"], first["tokens_lost"]) == (NAMES[labels[0]], 0)
    assert abs(sum(empty["probabilities"].values()) - 1) < 1e-5
    with pytest.raises(DataError, match="one text, not a pair"):
        opened.predict(["a"], ["b"])


def test_sentence_transformers_gives_the_same_logits(static: tuple[StaticClassifier, Path]) -> None:
    peer = pytest.importorskip("sentence_transformers")
    made, folder = static
    texts = [*sentences(20, 9)[0], "film"]
    theirs = peer.SentenceTransformer(str(folder), device="cpu").encode(texts)
    np.testing.assert_allclose(made.logits(texts), theirs, atol=1e-5)


def test_a_folder_that_is_not_whole_is_refused(static: tuple[StaticClassifier, Path], tmp_path: Path) -> None:
    made, _ = static
    made.save(tmp_path)
    (tmp_path / "maskfork.json").write_text('{"kind": "static", "labels": ["one"]}', "utf-8")
    with pytest.raises(ModelError, match="names 1 labels and the model answers with 2"):
        open_predictor(tmp_path)
    (tmp_path / "modules.json").unlink()
    with pytest.raises(ModelError, match="is no static model"):
        open_predictor(tmp_path)


def test_token_vectors_are_the_encoders_mean_of_each_token() -> None:
    model = make("bert")
    width = model.spec.hidden_size
    vectors = token_vectors(model, width)
    tokenizer = model.tokenizer
    assert vectors.shape == (tokenizer.size, width)
    # Principal components keep angles of centred vectors; equal rarity is divided out by comparing directions.
    ids = [tokenizer.id(word) for word in ("film", "the", "a")]
    from maskfork.core.batch import Batch

    own = []
    for token in range(tokenizer.size):
        cls, sep = tokenizer.encode("")
        with torch.inference_mode():
            own.append(model(Batch.packed([[cls, token, sep]], [[0, 0, 0]])).last_hidden_state[0].mean(0))
    centred = torch.stack(own) - torch.stack(own).mean(0)
    for i in ids:
        for j in ids:
            assert i is not None
            assert j is not None
            wanted = torch.cosine_similarity(centred[i], centred[j], dim=0)
            assert float(torch.cosine_similarity(vectors[i], vectors[j], dim=0)) == pytest.approx(float(wanted), abs=1e-3)


def test_phrases_are_runs_of_the_users_words() -> None:
    texts = ["one two three four five six", "red green blue", "short"]
    found = phrases(texts, 40, seed=1)
    assert len(found) == len(set(found))
    assert not set(found) & set(texts)
    for phrase in found:
        words = phrase.split()
        assert len(words) > 1
        assert any([w for w in text.split() if w in words] == words for text in texts)
    assert phrases(texts, 40, seed=1) == found
    assert phrases(["short"], 5) == []
