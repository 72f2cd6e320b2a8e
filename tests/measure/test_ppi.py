from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from maskfork.errors import DataError, UsageError
from maskfork.measure.intervals import quantile, wilson
from maskfork.measure.ppi import Powered, powered_mean, powered_share, rows_for_width

SHARE = 0.85


def world(rng: np.random.Generator, rows: int, share: float = SHARE, error: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Hits of a student, and its agreement with a teacher that errs by itself: sure of what is right a little more often."""
    hit = rng.random(rows) < share
    teacher_right = rng.random(rows) >= error
    return hit.astype(float), np.where(teacher_right, hit, rng.random(rows) < 0.1).astype(float)


def drawn(rng: np.random.Generator, gold: int, others: int, share: float = SHARE) -> Powered:
    truth, proxy = world(rng, gold + others, share)
    return powered_share(truth[:gold], proxy[:gold], proxy[gold:])


@pytest.mark.parametrize(("gold", "others"), [(40, 500), (200, 5000), (300, 300)])
def test_estimate_weight_and_error_are_ppi_py(gold: int, others: int) -> None:
    ppi_py = pytest.importorskip("ppi_py", reason="ppi-python is not installed: pip install -e '.[bench]'")
    rng = np.random.default_rng(gold)
    truth, proxy = world(rng, gold + others)
    found = powered_share(truth[:gold], proxy[:gold], proxy[gold:])
    sides = truth[:gold], proxy[:gold], proxy[gold:]
    assert found.interval.value == pytest.approx(float(ppi_py.ppi_mean_pointestimate(*sides)[0]), abs=2e-5)
    # theirs divides by n where ours divides by n - 1
    low, high = (float(end[0]) for end in ppi_py.ppi_mean_ci(*sides, alpha=0.05))
    assert found.error == pytest.approx((high - low) / 2 / quantile(0.95), rel=1.0 / gold)
    low, high = (float(end[0]) for end in ppi_py.ppi_mean_ci(*sides, alpha=0.05, lam=found.weight))
    assert (low + high) / 2 == pytest.approx(found.interval.value, abs=1e-12)


@pytest.mark.parametrize(("gold", "share"), [(60, 0.85), (200, 0.85), (200, 0.95), (400, 0.6)])
def test_the_powered_interval_covers_and_the_naive_one_does_not(gold: int, share: float) -> None:
    rng = np.random.default_rng(gold)
    runs = [drawn(rng, gold, 2000, share) for _ in range(1500)]
    covered = np.mean([run.interval.low <= share <= run.interval.high for run in runs])
    assert 0.935 <= covered <= 0.97
    assert np.mean([run.naive.low <= share <= run.naive.high for run in runs]) < 0.2
    assert abs(np.mean([run.interval.value for run in runs]) - share) < 4 * sqrt(share * (1 - share) / gold / 1500)
    width = np.mean([run.interval.high - run.interval.low for run in runs])
    assert width < 0.95 * np.mean([run.gold.high - run.gold.low for run in runs])


def test_a_proxy_that_knows_nothing_is_not_used() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(2000) < 0.7).astype(float)
    found = powered_share(truth, rng.random(2000), rng.random(9000))
    assert found.weight < 0.1
    assert found.interval.value == pytest.approx(truth.mean(), abs=0.005)
    constant = powered_share(truth, np.full(2000, 0.5), np.full(9000, 0.5))
    assert constant.weight == constant.correlation == 0.0
    assert (constant.interval.low, constant.interval.high) == pytest.approx(
        (wilson(int(truth.sum()), 2000).low, wilson(int(truth.sum()), 2000).high), abs=1e-4
    )


def test_it_is_never_of_zero_width() -> None:
    found = powered_share(np.ones(30), np.ones(30), np.ones(500))
    assert found.interval.high == 1.0
    assert found.interval.low == pytest.approx(wilson(30, 30).low, abs=0.02)


def test_a_difference_covers_too() -> None:
    rng = np.random.default_rng(7)
    covered = []
    for _ in range(1500):
        student, proxy = world(rng, 1200, 0.85)
        teacher = (rng.random(1200) >= 0.2).astype(float)
        noise = rng.normal(0.0, 0.3, 1200)
        gap = student - teacher
        found = powered_mean(gap[:100], (proxy - teacher + noise)[:100], (proxy - teacher + noise)[100:])
        covered.append(found.interval.low <= 0.05 <= found.interval.high)
    assert 0.93 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize(("width", "share", "correlation"), [(0.08, 0.8, 0.0), (0.04, 0.9, 0.7)])
def test_so_many_rows_give_that_width(width: float, share: float, correlation: float) -> None:
    others = 3000
    rows = rows_for_width(width, share, correlation=correlation, others=others)
    assert rows_for_width(width / 2, share, correlation=correlation, others=others) > 3 * rows
    as_good = rows / (1 - correlation**2 / (1 + rows / others))
    assert 2 * quantile(0.95) * sqrt(share * (1 - share) / as_good) == pytest.approx(width, rel=0.05)
    assert rows_for_width(width, share, others=others) >= rows


def test_impossible_figures_are_refused() -> None:
    with pytest.raises(DataError, match="10 gold rows or more"):
        powered_share(np.ones(9), np.ones(9), np.ones(100))
    with pytest.raises(DataError, match="between 0 and 1"):
        powered_share(np.ones(20), np.full(20, 2.0), np.ones(100))
    with pytest.raises(DataError, match="finite"):
        powered_mean(np.ones(20), np.full(20, np.nan), np.ones(100))
    with pytest.raises(UsageError, match="width"):
        rows_for_width(0.0, 0.5)
