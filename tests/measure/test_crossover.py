from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from maskfork.errors import DataError, UsageError
from maskfork.measure.crossover import crossing, crossover, isotonic
from tests.measure.worlds import predictions

BUDGETS = [8, 64, 512, 4096]


@pytest.mark.parametrize("seed", range(5))
def test_isotonic_is_sklearns(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=(4, 7)), rng.random(7) + 0.1
    want = [IsotonicRegression().fit(range(7), row, sample_weight=weights).predict(range(7)) for row in values]
    assert isotonic(values, weights) == pytest.approx(np.array(want))


def test_crossing_is_interpolated_on_the_log_scale():
    curves = [[-1.0, -1.0, 1.0], [-3.0, 1.0, 1.0], [0.1, 0.2, 0.3], [-1.0, -1.0, 0.0], [-1.0, 0.0, 1.0]]
    assert crossing(curves, [1, 100, 10_000]) == pytest.approx([1000.0, 10**1.5, -np.inf, np.inf, 100.0])


def world(rng, accuracies, decoder, rows=800, count=3, sd=0.005):
    latent = rng.standard_normal(rows)
    draw = sd * rng.standard_normal(count)
    encoder = [predictions(rng, rows, np.clip(a + draw, 0.01, 0.99), latent=latent) for a in accuracies]
    return encoder, predictions(rng, rows, np.array([decoder]), latent=latent)


def test_a_crossing_is_found_with_its_interval():
    encoder, decoder = world(np.random.default_rng(0), [0.6, 0.72, 0.85, 0.9], 0.8)
    got = crossover(BUDGETS, encoder, decoder, np.zeros(800, dtype=int))
    assert 64 < got.ci[0] <= got.budget <= got.ci[1] < 512
    assert got.share == 1.0
    assert list(got.difference) == sorted(got.difference)
    assert got.sentence.startswith("The encoder is ahead from about")
    assert got == crossover(BUDGETS, encoder, decoder, np.zeros(800, dtype=int))


def test_ahead_from_the_smallest_and_not_within_the_budgets():
    labels = np.zeros(800, dtype=int)
    encoder, decoder = world(np.random.default_rng(1), [0.8, 0.85, 0.9, 0.92], 0.6)
    got = crossover(BUDGETS, encoder, decoder, labels)
    assert got.budget is None
    assert got.ci == (None, 8.0)
    assert "ahead from the smallest budget" in got.sentence
    encoder, decoder = world(np.random.default_rng(2), [0.5, 0.55, 0.6, 0.65], 0.9)
    got = crossover(BUDGETS, encoder, decoder, labels)
    assert got.budget is None
    assert got.ci == (4096.0, None)
    assert "not within the budgets" in got.sentence


def test_an_unsure_crossing_reaches_beyond_the_budgets():
    encoder, decoder = world(np.random.default_rng(3), [0.7, 0.75, 0.79, 0.805], 0.8, rows=150)
    got = crossover(BUDGETS, encoder, decoder, np.zeros(150, dtype=int))
    assert got.ci[1] is None
    assert got.share < 1.0


def test_a_decoder_per_budget_and_one_draw():
    encoder, decoder = world(np.random.default_rng(4), [0.6, 0.72, 0.85, 0.9], 0.8, count=1)
    labels = np.zeros(800, dtype=int)
    one = crossover(BUDGETS, encoder, decoder, labels)
    assert crossover(BUDGETS, encoder, [decoder] * 4, labels) == one
    assert crossover(BUDGETS, encoder, [decoder], labels) == one


def coverage(worlds, count, sd, rows, resamples=400):
    accuracies, decoder = np.array([0.62, 0.72, 0.82, 0.88]), 0.77
    truth = crossing(accuracies - decoder, BUDGETS)
    rng = np.random.default_rng(5)
    labels = np.zeros(rows, dtype=int)
    hits = 0
    for _ in range(worlds):
        encoder, decoded = world(rng, accuracies, decoder, rows, count, sd)
        low, high = crossover(BUDGETS, encoder, decoded, labels, resamples=resamples).ci
        hits += (low or 0) <= truth <= (high or np.inf)
    return hits / worlds


def test_intervals_hold_the_true_crossover():
    assert 0.91 <= coverage(200, 3, 0.005, 400) <= 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("count", "sd", "rows"), [(1, 0.0, 400), (3, 0.01, 400), (3, 0.01, 2000), (5, 0.02, 1000)])
def test_intervals_hold_the_true_crossover_everywhere(count, sd, rows):
    assert 0.92 <= coverage(1000, count, sd, rows) <= 0.99


def test_refusals():
    labels, run = np.zeros(4, dtype=int), np.zeros(4, dtype=int)
    for budgets in ([0, 8], [8, 8], []):
        with pytest.raises(DataError):
            crossover(budgets, [run, run], run, labels)
    with pytest.raises(DataError):
        crossover([8, 64], [run], run, labels)
    with pytest.raises(UsageError):
        crossover([8, 64], [run, run], run, labels, level=95)
