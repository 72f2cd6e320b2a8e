"""With few rows the temperature comes from two halves, each answered by a model that learnt the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.learn.tasks.classify import TASK, Classifier
from maskfork.learn.tasks.classify.examples import Labelled
from maskfork.learn.tasks.classify.halves import for_half, halves, temperature_of_halves
from maskfork.learn.tasks.classify.rules import probabilities
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Split
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.calibration import nll
from tests.learn.tiny import make, rows


@pytest.mark.parametrize("labels", [[0] * 7 + [1] * 9, [0, 1, 2] * 5, [0, 0, 1, 2, 2, 2]])
def test_halves_are_halves_of_every_label(labels: list[int]) -> None:
    rows = np.array(labels)
    first, second = halves(rows, 0)
    assert sorted([*first, *second]) == list(range(len(rows)))
    assert abs(len(first) - len(second)) <= 1
    for label in set(labels):
        assert abs(int((rows[first] == label).sum()) - int((rows[second] == label).sum())) <= 1


def test_a_half_is_seen_as_often_as_the_whole() -> None:
    settings = FineTuneSettings(min_steps=150)
    own = for_half(settings, 64, 32)
    steps, per_epoch = settings.steps(64)
    half_steps, half_per_epoch = own.steps(32)
    assert half_steps / half_per_epoch == pytest.approx(steps / per_epoch, rel=0.02)


def test_logits_that_are_too_sure_are_found_out() -> None:
    """The world's own logits times four: the temperature is four, give or take."""
    rng = np.random.default_rng(0)
    true = rng.normal(size=(2000, 3))
    labels = np.array([rng.choice(3, p=np.exp(row) / np.exp(row).sum()) for row in true])
    found = temperature_of_halves(labels, FineTuneSettings(), 0, lambda learnt, asked, own, number: 4.0 * true[asked])
    assert found == pytest.approx(4.0, rel=0.15)
    timid = temperature_of_halves(labels, FineTuneSettings(), 0, lambda learnt, asked, own, number: 0.2 * true[asked])
    assert timid == 1.0  # never surer than the model itself


def test_nothing_is_said_of_labels_that_one_half_does_not_know() -> None:
    asked_of: list[int] = []

    def answered(learnt: np.ndarray, asked: np.ndarray, own: FineTuneSettings, number: int) -> np.ndarray:
        asked_of.extend(asked.tolist())
        return np.zeros((len(asked), 4))

    labels = np.array([0] * 6 + [1] * 6 + [2, 3])  # two labels of one row each
    assert temperature_of_halves(labels, FineTuneSettings(), 0, answered) is not None
    assert sorted(asked_of) == list(range(12))
    assert temperature_of_halves(np.array([0, 1, 0, 1]), FineTuneSettings(), 0, answered) is None


OFTEN: dict[str, Any] = {"epochs": 30, "learning_rate": 3e-3, "min_steps": 0, "precision": "fp32", "batch_size": 16}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert").save(tmp_path_factory.mktemp("base"))


def a_third_wrong(count: int, seed: int) -> Any:
    """Labels that a model can learn by heart and no further than two thirds."""
    found = rows(count, seed)
    wrong = np.random.default_rng(seed).random(count) < 1 / 3
    return replace(found, labels=np.where(wrong, 1 - found.labels, found.labels))


def test_what_was_learnt_by_heart_is_not_sure(base: Path) -> None:
    few, others = a_third_wrong(60, 0), a_third_wrong(400, 1)
    made, sure = (Classifier.train(base, few, settings=FineTuneSettings(**OFTEN, calibrate=on)) for on in (True, False))
    asked = made.predict(others.texts), sure.predict(others.texts)
    np.testing.assert_array_equal(asked[0].argmax(1), asked[1].argmax(1))  # the same answers
    assert nll(asked[0], others.labels) < 0.8  # a coin's is 0.69
    assert nll(asked[1], others.labels) > 1.2
    assert any("each half answered by a model of the other" in note for note in made.notes)
    assert not any("calibrated" in note for note in sure.notes)


def test_the_task_does_so_too(base: Path, tmp_path: Path) -> None:
    few, others = (
        Labelled("single", tuple(r.texts), None, r.labels, r.label_names) for r in (a_third_wrong(60, 0), a_third_wrong(400, 1))
    )
    told: list[float] = []
    made = TASK.train(
        base, Split(few, None, None), ClassifySettings(**OFTEN), progress=lambda share, doing: told.append(share), work=tmp_path
    )
    assert made.rules.temperature > 1.5
    assert nll(probabilities("single", made.logits(others.texts)), others.targets) < 0.8
    assert told == sorted(told)  # one way, from nothing to all
    assert told[-1] == pytest.approx(1.0)
    plain = TASK.train(base, Split(few, None, None), ClassifySettings(**OFTEN, calibrate=False))
    assert plain.rules.temperature == 1.0
