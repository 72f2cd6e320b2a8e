"""Conformal sets: they cover what they promise, by simulation; the bound is the quantile with the finite-sample correction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from maskfork.errors import DataError
from maskfork.measure.conformal import Way, bound, calibrate, label_sets, least_rows


def world(rows: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities [N, 5] of a model that is too sure, and labels drawn from the true ones."""
    logits = rng.normal(size=(rows, 5)) * 2
    labels = (softmax(logits, 1).cumsum(1) > rng.random((rows, 1))).argmax(1)
    return softmax(2.5 * logits, 1), labels


@pytest.mark.parametrize("way", ["lac", "aps"])
@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_the_promise_holds_on_average(way: Way, coverage: float) -> None:
    """Over 300 calibration sets of 99 rows: the mean share covered is the promise, and at most 1 / (n + 1) above it."""
    rng = np.random.default_rng(0)
    shares = []
    for _ in range(300):
        probs, labels = world(99, rng)
        limit = calibrate(probs, labels, coverage, way)
        new, truth = world(400, rng)
        shares.append(label_sets(new, limit, way)[np.arange(400), truth].mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert coverage - 3 * error <= np.mean(shares) <= coverage + 0.01 + 3 * error


def test_the_bound_is_the_right_order_statistic() -> None:
    assert bound(np.arange(1, 100), 0.95) == 95  # ceil(100 * 0.95)
    assert bound(np.arange(1, 20), 0.95) == 19
    assert bound(np.arange(1, 11), 0.5) == 6
    assert (least_rows(0.95), least_rows(0.9), least_rows(0.5)) == (19, 9, 1)
    with pytest.raises(DataError, match=r"18 calibration rows are too few to promise a coverage of 0\.95: it takes 19"):
        bound(np.arange(18), 0.95)
    with pytest.raises(DataError, match="between 0 and 1"):
        bound(np.arange(18), 1.0)


def test_lac_sets_are_the_smallest() -> None:
    rng = np.random.default_rng(3)
    probs, labels = world(2000, rng)
    new, _ = world(2000, rng)
    sizes = {way: label_sets(new, calibrate(probs, labels, 0.9, way), way).sum(1).mean() for way in ("lac", "aps")}  # type: ignore[arg-type]
    assert sizes["lac"] < sizes["aps"]
