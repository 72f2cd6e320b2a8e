from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from maskfork.errors import DataError
from maskfork.measure import resample
from maskfork.measure.metrics import accuracy, confusion, macro_f1, matthews
from maskfork.measure.resample import resampled_macro_f1, row_weights


@pytest.mark.parametrize("seed", range(6))
def test_scores_are_sklearns_with_classes_that_are_absent(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 9))
    labels = rng.integers(0, max(1, classes - 1), 40)  # the last class is never true
    predicted = np.where(rng.random(40) < 0.6, labels, rng.integers(0, classes, 40))
    names = list(range(classes))
    assert accuracy(labels, predicted) == pytest.approx(sk.accuracy_score(labels, predicted))
    want = sk.f1_score(labels, predicted, labels=names, average="macro", zero_division=0)
    assert macro_f1(labels, predicted, classes) == pytest.approx(want)
    want = sk.f1_score(labels, predicted, labels=[*names, classes], average="macro", zero_division=0)
    assert macro_f1(labels, predicted, classes + 1) == pytest.approx(want)  # a class on neither side
    assert matthews(labels, predicted, classes) == pytest.approx(sk.matthews_corrcoef(labels, predicted))
    assert (confusion(labels, predicted, classes) == sk.confusion_matrix(labels, predicted, labels=names)).all()


def test_several_seeds_are_averaged():
    labels = np.array([0, 1, 1, 2])
    predicted = np.array([[0, 1, 1, 2], [0, 0, 1, 1]])
    assert accuracy(labels, predicted) == pytest.approx(0.75)
    want = (1.0 + macro_f1(labels, predicted[1], 3)) / 2
    assert macro_f1(labels, predicted, 3) == pytest.approx(want)


def test_matthews_of_one_class_is_zero():
    assert matthews([1, 1, 1], [0, 1, 1], 2) == 0.0


def test_resampled_f1_is_f1_of_the_resampled_rows():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 5, 60)
    predicted = np.where(rng.random((2, 60)) < 0.7, labels, rng.integers(0, 5, (2, 60)))
    [got] = resampled_macro_f1([predicted], labels, 5, resamples=8, seed=3)
    [weights] = row_weights(60, 8, seed=3)
    assert (weights.sum(axis=0) == 60).all()
    for b in range(8):
        rows = np.repeat(np.arange(60), weights[:, b].astype(int))
        for s in range(2):
            assert got[s, b] == pytest.approx(macro_f1(labels[rows], predicted[s, rows], 5), abs=1e-6)


def test_weights_come_in_bounded_chunks(monkeypatch):
    monkeypatch.setattr(resample, "_CHUNK_CELLS", 700)
    assert [w.shape for w in row_weights(300, 5, seed=0)] == [(300, 2), (300, 2), (300, 1)]
    assert [w.shape for w in row_weights(3000, 2, seed=0)] == [(3000, 1), (3000, 1)]


@pytest.mark.parametrize(
    ("labels", "predicted"), [([0, 1], [0]), ([0, 3], [0, 1]), ([-1, 0], [0, 0]), ([0, 1], ["a", "b"]), ([], [])]
)
def test_refusals_are_one_sentence(labels, predicted):
    with pytest.raises(DataError, match=r"\.$"):
        macro_f1(labels, predicted, 2)
