from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from maskfork.errors import DataError
from maskfork.measure.calibration import (
    apply_temperature,
    brier,
    ece,
    ece_interval,
    fit_temperature,
    nll,
    reliability_points,
)


def world(seed, rows, classes=4, temperature=1.0):
    """Labels drawn from softmax(logits); what the model says is softmax(logits / temperature)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (rows, classes))
    labels = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((rows, 1))).sum(axis=1)
    return logits / temperature, np.minimum(labels, classes - 1)


def test_brier_and_nll_are_sklearns():
    logits, labels = world(0, 300)
    probs = softmax(logits, axis=1)
    assert nll(probs, labels) == pytest.approx(log_loss(labels, probs))
    assert brier(probs, labels) == pytest.approx(brier_score_loss(labels, probs, labels=range(4), scale_by_half=False))


def test_nll_of_an_impossible_truth_is_finite():
    assert nll([[1.0, 0.0]], [1]) == pytest.approx(-np.log(1e-12))


def test_reliability_points_are_sklearns_quantile_curve():
    logits, labels = world(1, 600, classes=2)
    probs = softmax(logits, axis=1)
    accuracy_, confidence = calibration_curve(probs.argmax(axis=1) == labels, probs.max(axis=1), n_bins=10, strategy="quantile")
    points = reliability_points(probs, labels, 10)
    assert (points.rows == 60).all()
    assert points.confidence == pytest.approx(confidence, abs=0.01)
    assert points.accuracy == pytest.approx(accuracy_, abs=0.03)
    want = np.abs(points.accuracy - points.confidence).mean()
    assert ece(probs, labels, 10) == pytest.approx(want)


def test_ece_of_ties_does_not_hang_on_the_order_of_rows():
    probs = np.tile([0.8, 0.2], (100, 1))
    labels = np.r_[np.zeros(60, dtype=int), np.ones(40, dtype=int)]
    assert ece(probs, labels) == pytest.approx(0.2)
    assert ece(probs, labels[::-1]) == pytest.approx(0.2)


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows_than_bins(rows):
    probs = softmax(np.random.default_rng(0).normal(size=(rows, 3)), axis=1)
    got = ece_interval(probs, [0] * rows, resamples=50)
    assert 0.0 <= got.low <= got.value <= got.high <= 1.0
    assert got.value == pytest.approx(ece(probs, [0] * rows), abs=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_ece_interval_holds_the_true_ece(temperature):
    logits, labels = world(2, 200_000, temperature=temperature)
    truth = ece(softmax(logits, axis=1), labels)
    hits = []
    for seed in range(100):
        logits, labels = world(100 + seed, 600, temperature=temperature)
        got = ece_interval(softmax(logits, axis=1), labels, resamples=300)
        hits.append(got.low <= truth <= got.high)
    assert np.mean(hits) >= 0.90


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_temperature_is_found_again_from_logits_and_from_probabilities(temperature):
    logits, labels = world(3, 8000, temperature=temperature)
    want = 1.0 / temperature
    assert fit_temperature(logits, labels) == pytest.approx(want, rel=0.08)
    probs = softmax(logits, axis=1)
    found = fit_temperature(probs, labels)
    assert found == pytest.approx(want, rel=0.08)
    after = apply_temperature(probs, found)
    assert nll(after, labels) <= nll(probs, labels) + 1e-12
    assert (after.argmax(axis=1) == probs.argmax(axis=1)).all()
    assert after == pytest.approx(apply_temperature(logits, found), abs=1e-4)


def test_temperature_of_a_perfect_model_stops_at_the_bound():
    assert fit_temperature([[2.0, 0.0], [0.0, 2.0]], [0, 1]) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize(
    "call",
    [
        lambda: ece([[0.5, 0.6]], [0]),
        lambda: ece([[0.5, 0.5]], [2]),
        lambda: brier([[0.5, 0.5]], [0, 1]),
        lambda: nll([[np.nan, 0.5]], [0]),
        lambda: ece([[0.5, 0.5]], [0], 0),
        lambda: apply_temperature([[0.5, 0.5]], 0.0),
    ],
)
def test_refusals(call):
    with pytest.raises(DataError, match=r"\.$"):
        call()
