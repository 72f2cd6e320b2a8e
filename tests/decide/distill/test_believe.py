from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import special
from sklearn.linear_model import LogisticRegression

from maskfork.decide.distill.believe import belief_of, believe, usual_answers
from maskfork.decide.distill.student import robust_loss
from tests.prompt.teachers.noise import noisy_answer

NAMES = ("a", "b", "c")


def world(error: float, rows: int = 2500, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(truth, the teacher's labels, its probabilities, out-of-fold log probabilities of a linear model on its labels)."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, rows)
    vectors = rng.normal(size=(rows, 5)) + 1.6 * np.eye(3, 5)[truth]
    told = [noisy_answer(f"text {i}", int(truth[i]), NAMES, error, seed) for i in range(rows)]
    given, probs = np.array([label for label, _ in told]), np.stack([own for _, own in told])
    logs = np.empty((rows, 3))
    for half in (0, 1):
        held = np.arange(rows) % 2 == half
        made = LogisticRegression().fit(vectors[~held], given[~held])
        logs[held] = made.predict_log_proba(vectors[held])
    return truth, given, probs, logs


@pytest.mark.parametrize("error", [0.1, 0.2, 0.3])
def test_beliefs_are_righter_than_the_teacher_and_than_the_models_alone(error: float) -> None:
    truth, given, probs, logs = world(error)
    found = believe(logs, given, probs)
    right = (found.probs.argmax(1) == truth).mean()
    assert right > (given == truth).mean() + 0.25 * error
    assert right > (logs.argmax(1) == truth).mean()
    assert found.wrong.mean() == pytest.approx((given != truth).mean(), abs=0.06)
    seen = np.stack([(given[truth == c][:, None] == np.arange(3)).mean(0) for c in range(3)])
    np.testing.assert_allclose(found.noise, seen, atol=0.06)
    assert found.trust > 0.2, "its confidences tell something"


def test_a_teacher_without_confidences_is_judged_by_its_labels() -> None:
    truth, given, _, logs = world(0.2)
    flat = np.where(np.eye(3)[given] == 1, 0.95, 0.025)
    found = believe(logs, given, flat)
    assert (found.probs.argmax(1) == truth).mean() > (given == truth).mean() + 0.05
    np.testing.assert_allclose(found.probs.sum(1), 1.0)


def test_other_rows_are_believed_in_by_what_was_fitted() -> None:
    truth, given, probs, logs = world(0.2)
    found = believe(logs[:2000], given[:2000], probs[:2000])
    usual = usual_answers(probs[:2000], given[:2000])
    rest = belief_of(special.log_softmax(logs[2000:], axis=1), given[2000:], probs[2000:], found, usual)
    assert (rest.argmax(1) == truth[2000:]).mean() > (given[2000:] == truth[2000:]).mean() + 0.05


def test_the_loss_goes_from_cross_entropy_to_the_absolute_error() -> None:
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.3, 0.1, 0.0]], dtype=torch.float64)
    beliefs = torch.tensor([[0.7, 0.2, 0.1], [0.0, 1.0, 0.0]], dtype=torch.float64)
    cross = torch.nn.functional.cross_entropy(logits, beliefs)
    assert float(robust_loss(logits, beliefs, 0.0)) == pytest.approx(float(cross))
    assert float(robust_loss(logits, beliefs, 1e-6)) == pytest.approx(float(cross), rel=1e-4)
    far = torch.eye(3, dtype=torch.float64)[1]
    assert float(robust_loss(logits[1:], beliefs[1:], 1.0)) == pytest.approx(
        0.5 * float((logits[1].softmax(-1) - far).abs().sum())
    )
