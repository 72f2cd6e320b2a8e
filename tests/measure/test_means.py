"""Means of shares: coverage on simulated queries, never of zero width; differences are paired."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maskfork.errors import DataError
from maskfork.measure.means import mean_difference, mean_interval


@pytest.mark.parametrize(("a", "b"), [(2.0, 2.0), (0.4, 0.3), (8.0, 1.0)])
def test_the_interval_covers_the_true_mean(a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    truth, trials = a / (a + b), 400
    hits = sum(i.low <= truth <= i.high for i in (mean_interval(rng.beta(a, b, 60)) for _ in range(trials)))
    assert hits / trials >= 0.92


def test_plain_rights_and_wrongs_get_wilsons_interval_nearly() -> None:
    values = np.repeat([1.0, 0.0], [70, 30])
    found, wanted = mean_interval(values), stats.binomtest(70, 100).proportion_ci(method="wilson")
    assert found.value == 0.7
    np.testing.assert_allclose([found.low, found.high], [wanted.low, wanted.high], atol=0.005)


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_values_that_agree_still_leave_doubt(value: float) -> None:
    found = mean_interval(np.full(20, value))
    assert found.low < found.high
    assert 0.0 <= found.low <= value <= found.high <= 1.0


def test_a_difference_is_paired() -> None:
    rng = np.random.default_rng(1)
    easy = rng.random(100) * 0.8
    found = mean_difference(easy + 0.1 + rng.random(100) * 0.02, easy)
    assert 0.1 < found.low < found.value < found.high < 0.12


@pytest.mark.parametrize("values", [[], [0.5, 1.2], [float("nan")]])
def test_what_is_no_share_is_refused(values: list[float]) -> None:
    with pytest.raises(DataError):
        mean_interval(values)
