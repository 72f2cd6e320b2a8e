"""F1 of several labels is scikit-learn's; its interval covers the F1 of a large population."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import f1_score

from maskfork.errors import DataError
from maskfork.measure.multilabel import Average, f1_difference, f1_interval, label_f1, multilabel_f1


def world(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.random((rows, 6)) < [0.4, 0.3, 0.2, 0.1, 0.1, 0.05]
    return truth, truth ^ (rng.random(truth.shape) < 0.15)


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_scikit_learn_has_the_same(average: Average) -> None:
    truth, guess = world(200, np.random.default_rng(0))
    truth[:, 5] = guess[:, 5] = False  # a label on neither side
    assert multilabel_f1(truth, guess, average) == pytest.approx(f1_score(truth, guess, average=average, zero_division=0))
    np.testing.assert_allclose(label_f1(truth, guess), f1_score(truth, guess, average=None, zero_division=0))


@pytest.mark.parametrize("average", ["macro", "micro"])
def test_the_interval_covers(average: Average) -> None:
    rng = np.random.default_rng(1)
    true = multilabel_f1(*world(200_000, rng), average)
    found = [f1_interval(*world(300, rng), average, resamples=200) for _ in range(150)]
    assert sum(i.low <= true <= i.high for i in found) >= 0.9 * len(found)


def test_a_difference_is_paired() -> None:
    truth, guess = world(400, np.random.default_rng(2))
    other = guess.copy()
    other[:20] = truth[:20]
    found = f1_difference(truth, other, guess, "micro")
    assert found.low > 0
    alone = f1_interval(truth, guess, "micro")
    assert found.high - found.low < (alone.high - alone.low) / 2
    with pytest.raises(DataError, match="of the same rows"):
        f1_interval(truth, guess[:5], "macro")
