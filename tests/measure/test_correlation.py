"""Correlations equal scipy's; their intervals cover."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maskfork.errors import DataError
from maskfork.measure.correlation import pearson, spearman, spearman_difference


def test_values_are_scipys_with_ties() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 6, 200)
    guess = truth + rng.normal(0, 2, 200).round()
    assert spearman(guess, truth).value == pytest.approx(stats.spearmanr(guess, truth).statistic, abs=1e-12)
    assert pearson(guess, truth).value == pytest.approx(stats.pearsonr(guess, truth).statistic, abs=1e-12)
    theirs = stats.pearsonr(guess, truth).confidence_interval()
    found = pearson(guess, truth)
    np.testing.assert_allclose([found.low, found.high], [theirs.low, theirs.high], atol=1e-9)


def test_the_interval_of_rho_covers() -> None:
    rng, rho, hits = np.random.default_rng(0), 0.8, 0
    truth = 6 / np.pi * np.arcsin(rho / 2)  # Spearman's of a normal pair
    for _ in range(300):
        x = rng.normal(size=80)
        found = spearman(x, rho * x + np.sqrt(1 - rho**2) * rng.normal(size=80))
        hits += found.low <= truth <= found.high
    assert hits / 300 >= 0.92


def test_a_difference_is_paired_and_a_constant_has_no_order() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=300)
    good, bad = truth + rng.normal(0, 0.5, 300), truth + rng.normal(0, 1.5, 300)
    found = spearman_difference(good, bad, truth, resamples=200)
    assert 0 < found.low < found.value < found.high
    assert spearman(np.zeros(300), truth).value == 0.0


def test_few_rows_are_refused() -> None:
    with pytest.raises(DataError, match="four rows"):
        spearman([1, 2, 3], [1, 2, 3])
