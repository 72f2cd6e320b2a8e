"""TF-IDF and its features against scikit-learn, saving, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from maskfork.decide.compare.contender import HeldOut
from maskfork.decide.compare.contenders.tfidf import TfidfContender, TfidfPredictor, _folds
from maskfork.decide.compare.winner import open_predictor
from maskfork.errors import ModelError
from maskfork.learn.data.ngrams import Vocabulary, stack
from maskfork.learn.data.rows import Rows
from tests.decide.compare.fakes import mood_rows

HARD = ("", "   ", "a", "A  b\tc\n\nd", "Ünïcode — ça va?!", "x_y 3.14 don't", "word", "word word word", "日本語 の 文", "ß İ")


def silent(share: float, doing: str) -> None:
    assert 0 <= share <= 1


@pytest.mark.parametrize("unit", ["word", "char"])
def test_features_are_those_of_scikit_learn(unit: str) -> None:
    rows = mood_rows(120, seed=1)
    texts = (*rows.texts, *HARD)
    oracle = (
        TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
        if unit == "word"
        else TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 4))
    )
    expected = oracle.fit_transform(texts)
    ours = Vocabulary.of(texts, unit, 10**6)  # type: ignore[arg-type]
    assert list(ours.index) == list(oracle.get_feature_names_out())
    np.testing.assert_allclose(ours.features(texts).toarray(), expected.toarray(), atol=1e-12)
    often = oracle.set_params(min_df=2).fit_transform(texts)
    ours_often = Vocabulary.of(texts, unit, 10**6, least=2)  # type: ignore[arg-type]
    assert list(ours_often.index) == list(oracle.get_feature_names_out())
    np.testing.assert_allclose(ours_often.features(texts).toarray(), often.toarray(), atol=1e-12)
    oracle.set_params(min_df=1).fit(texts)
    unseen = ("quite another text", *HARD)
    np.testing.assert_allclose(ours.features(unseen).toarray(), oracle.transform(unseen).toarray(), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_probabilities_are_those_of_scikit_learn(classes: int) -> None:
    train, test = mood_rows(90, seed=2, classes=classes), mood_rows(40, seed=3, classes=classes)
    outcome = TfidfContender().run(train, HeldOut(test.texts), seed=0, progress=silent)
    predictor = outcome.predictor
    assert isinstance(predictor, TfidfPredictor)
    strength = float(outcome.notes[0].split("C = ")[1].split(" ")[0])
    features = stack(predictor.vocabularies, train.texts, None)
    oracle = LogisticRegression(C=strength, max_iter=300).fit(features, train.labels)
    expected = oracle.predict_proba(stack(predictor.vocabularies, test.texts, None))
    np.testing.assert_allclose(outcome.probs, expected, atol=1e-5)
    assert outcome.probs.dtype == np.float32
    assert outcome.validation is not None
    assert 1 / classes < outcome.validation <= 1


def test_a_label_without_a_row_has_next_to_no_probability() -> None:
    rows = mood_rows(60, seed=0, classes=3)
    two = rows.take(np.flatnonzero(rows.labels != 1))
    probs = TfidfContender().run(two, HeldOut(rows.texts), seed=0, progress=silent).probs
    assert probs[:, 1].max() < 1e-6
    assert ((probs[:, [0, 2]].argmax(1) * 2) == rows.labels)[rows.labels != 1].mean() > 0.9


def test_pairs_see_both_texts() -> None:
    rng = np.random.default_rng(0)
    words = [f"word{i}" for i in range(12)]
    first = [str(rng.choice(words)) for _ in range(200)]
    second = [a if i % 2 else str(rng.choice([w for w in words if w != a])) for i, a in enumerate(first)]
    labels = np.array([i % 2 for i in range(200)])
    rows = Rows(tuple(first), tuple(second), labels, ("other", "same"), np.arange(200))
    train, test = rows.take(np.arange(150)), rows.take(np.arange(150, 200))
    outcome = TfidfContender().run(train, HeldOut(test.texts, test.pairs), seed=0, progress=silent)
    assert (outcome.probs.argmax(1) == test.labels).mean() > 0.9
    with pytest.raises(ModelError, match="trained on pairs"):
        outcome.predictor.predict(test.texts)


def test_saved_and_opened_it_answers_bit_for_bit(tmp_path: Path) -> None:
    train, test = mood_rows(60, seed=4), mood_rows(30, seed=5)
    predictor = TfidfContender().run(train, HeldOut(test.texts), seed=0, progress=silent).predictor
    predictor.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["maskfork.json", "model.safetensors", "vocabulary.json"]
    opened = open_predictor(tmp_path)
    assert opened.label_names == train.label_names
    np.testing.assert_array_equal(opened.predict(test.texts), predictor.predict(test.texts))


@pytest.mark.parametrize("broken", ["vocabulary.json", "model.safetensors", "maskfork.json"])
def test_a_broken_folder_is_one_sentence(tmp_path: Path, broken: str) -> None:
    TfidfContender().run(mood_rows(40, seed=4), HeldOut(("a",)), seed=0, progress=silent).predictor.save(tmp_path)
    (tmp_path / broken).write_text("[{]")
    with pytest.raises(ModelError, match=r"save (it|the model) again"):
        open_predictor(tmp_path)


def test_weights_of_another_vocabulary_are_refused(tmp_path: Path) -> None:
    TfidfContender().run(mood_rows(40, seed=4), HeldOut(("a",)), seed=0, progress=silent).predictor.save(tmp_path)
    words = json.loads((tmp_path / "vocabulary.json").read_text())
    words[0]["terms"].append("zzz")
    (tmp_path / "vocabulary.json").write_text(json.dumps(words))
    with pytest.raises(ModelError, match="do not fit its vocabulary"):
        TfidfPredictor.open(tmp_path)


def test_folds_are_stratified_and_say_where_they_cannot_be() -> None:
    labels = np.repeat([0, 1, 2], [30, 15, 6])
    folds = _folds(labels)
    assert folds is not None
    assert [np.bincount(labels[folds == f], minlength=3).tolist() for f in range(3)] == [[10, 5, 2]] * 3
    assert _folds(np.array([0, 1])) is None
    assert _folds(np.array([0, 0, 0, 1])) is None  # the 1 would be missing where it is held back
