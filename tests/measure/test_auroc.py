"""AUROC is scikit-learn's, its interval covers the true area, and it has a width where the kinds are wholly apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from maskfork.errors import DataError
from maskfork.measure.auroc import auroc


def test_scikit_learn_has_the_same() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(300) < 0.3
    scores = np.round(rng.normal(size=300) + truth, 1)  # with ties
    assert auroc(scores, truth).value == pytest.approx(roc_auc_score(truth, scores))


@pytest.mark.parametrize("apart", [0.5, 2.0])
def test_the_interval_covers(apart: float) -> None:
    rng = np.random.default_rng(2)
    true = norm.cdf(apart / np.sqrt(2))
    inside = 0
    for _ in range(300):
        found = auroc(np.concatenate([rng.normal(apart, 1, 40), rng.normal(0, 1, 80)]), [True] * 40 + [False] * 80)
        inside += found.low <= true <= found.high
    assert inside >= 0.91 * 300


def test_ends() -> None:
    found = auroc([3, 4, 1, 2], [True, True, False, False])
    assert found.value == found.high == 1.0
    assert found.low < 0.9
    assert auroc([1, 1], [True, False]).value == 0.5
    with pytest.raises(DataError, match="each of the two kinds"):
        auroc([1, 2], [True, True])
