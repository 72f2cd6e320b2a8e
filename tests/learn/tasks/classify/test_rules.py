"""Rules: thresholds that are the best on their rows, scope by the better score, sets and refusals in the answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import f1_score

from maskfork.errors import DataError
from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled
from maskfork.learn.tasks.classify.rules import Rules, Scope, Sets, answers_of
from maskfork.learn.tasks.classify.score import scores_of
from maskfork.learn.tasks.classify.tune import tune_abstention, tune_scope, tune_thresholds

NAMES = ("a", "b", "c")
LOGITS = np.array([[3.0, 0.0, 0.0], [0.4, 0.5, 0.3], [0.0, 0.0, 2.0]])


def test_thresholds_are_the_best_of_all() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random((200, 2)) < [0.3, 0.1]
    probs = np.round(np.clip(0.3 * truth + 0.5 * rng.random((200, 2)), 0, 1), 2)
    found = tune_thresholds(probs, truth)
    for c in range(2):
        best = max(f1_score(truth[:, c], probs[:, c] >= t) for t in np.unique(probs[:, c]))
        assert f1_score(truth[:, c], probs[:, c] >= found[c]) == pytest.approx(best)


def test_a_rare_label_takes_the_common_threshold() -> None:
    rng = np.random.default_rng(1)
    truth = rng.random((100, 2)) < 0.4
    truth[:, 1] = False
    truth[:3, 1] = True
    probs = np.clip(0.2 * truth + 0.6 * rng.random((100, 2)), 0, 1)
    both = tune_thresholds(probs, truth)
    assert both[1] == tune_thresholds(probs.reshape(-1, 1), truth.reshape(-1, 1))[0]


def test_the_score_that_tells_better_is_taken() -> None:
    rng = np.random.default_rng(2)
    targets = np.array([0, 1] * 50 + [NO_LABEL] * 40)
    logits = np.zeros((140, 2))
    logits[np.arange(100), targets[:100]] = 4.0
    logits[100:, 0] = 4.0  # as sure, but with little energy
    logits += np.where(targets == NO_LABEL, 0.0, 6.0)[:, None] + rng.normal(0, 0.3, (140, 1))
    scope, said = tune_scope(logits, targets, "oos")
    assert scope.by == "energy"
    assert "AUROC" in said
    rules = Rules(scope=scope)
    found = [a["label"] for a in answers_of("single", ("x", "y"), rules, logits)]
    assert found == ["x", "y"] * 50 + ["oos"] * 40
    scores = scores_of(Labelled("single", ("t",) * 140, None, targets, ("x", "y")), logits, rules)
    assert scores.values["accuracy"].value == scores.values["out_of_scope_recall"].value == 1.0
    none, said = tune_scope(logits[:100], targets[:100], None)
    assert none.by == "softmax"
    assert "no row shows" in said


def test_answers_follow_the_rules() -> None:
    probs = softmax(LOGITS, 1)
    rules = Rules(sets=Sets(0.9, "lac", 0.7, 50), abstain_below=0.5, scope=Scope(None, "softmax", 0.35))
    found = answers_of("single", NAMES, rules, LOGITS)
    assert [a["label"] for a in found] == ["a", None, "c"]
    assert [a["abstains"] for a in found] == [False, True, False]
    assert [a["out_of_scope"] for a in found] == [False, False, False]
    assert [a["set"] for a in found] == [[n for n, p in zip(NAMES, row, strict=True) if 1 - p <= 0.7] for row in probs]
    outside = answers_of("single", NAMES, Rules(scope=Scope("oos", "softmax", 0.5)), LOGITS)
    assert [a["label"] for a in outside] == ["a", "oos", "c"]
    several = answers_of("multi", NAMES, Rules(thresholds=(0.9, 0.6, 0.55)), LOGITS)
    assert [a["labels"] for a in several] == [["a"], ["b", "c"], ["c"]]
    number = answers_of("regression", ("score",), Rules(sets=Sets(0.9, "lac", 0.5, 50)), LOGITS[:, :1])
    assert number[0] == {"score": 3.0, "low": 2.5, "high": 3.5}


def test_abstention_that_cannot_be() -> None:
    rng = np.random.default_rng(3)
    probs = softmax(rng.normal(size=(60, 3)), 1)
    with pytest.raises(DataError, match=r"no probability keeps errors at 1\.0%"):
        tune_abstention(probs, rng.integers(0, 3, 60), 0.01)
    least, said = tune_abstention(probs, probs.argmax(1), 0.2)
    assert least == probs.max(1).min()
    assert "100.0% of 60" in said
