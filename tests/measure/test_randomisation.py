"""The paired test: equal predictions give no difference, and under no true difference p is as small as it says, no oftener."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maskfork.errors import DataError
from maskfork.measure.bootstrap import share
from maskfork.measure.randomisation import swapped_counts_p, swapped_values_p


def of(values: np.ndarray) -> np.ndarray:
    return np.stack([values, np.ones_like(values)], axis=1)


def test_as_an_exact_sign_flip_of_few_rows() -> None:
    a, b = np.array([0.9, 0.8, 0.3, 0.7, 0.6]), np.array([0.1, 0.7, 0.4, 0.2, 0.5])
    exact = stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=np.inf).pvalue
    assert swapped_counts_p(of(a), of(b), share, resamples=20000) == pytest.approx(exact, abs=0.015)
    assert swapped_values_p(a, b, lambda side: float(side.mean()), resamples=4000) == pytest.approx(exact, abs=0.03)


def test_under_no_difference_p_is_even() -> None:
    rng = np.random.default_rng(0)
    ps = [swapped_counts_p(of(rng.random(40)), of(rng.random(40)), share, resamples=200, seed=i) for i in range(300)]
    assert np.mean(np.array(ps) <= 0.1) == pytest.approx(0.1, abs=0.05)


def test_the_same_predictions_and_unlike_ones() -> None:
    rows = np.random.default_rng(1).random(50)
    assert swapped_counts_p(of(rows), of(rows), share) == 1.0
    assert swapped_counts_p(of(rows), of(rows - 0.5), share) < 0.001
    with pytest.raises(DataError, match="same rows"):
        swapped_counts_p(of(rows), of(rows[1:]), share)
