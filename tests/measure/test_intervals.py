from __future__ import annotations

import time

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from maskfork.errors import DataError, UsageError
from maskfork.measure.intervals import Interval, freedom_of, score_interval, wilson
from maskfork.measure.metrics import accuracy, macro_f1
from tests.measure.worlds import predictions, seeds

METRICS = ("accuracy", "macro_f1")


def covered(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize(("k", "n"), [(0, 5), (5, 5), (1, 100), (73, 100), (999, 1000)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_statsmodels(k, n, level):
    got = wilson(k, n, level)
    assert (got.low, got.high) == pytest.approx(proportion_confint(k, n, 1 - level, "wilson"), abs=1e-12)


def test_one_seed_accuracy_is_wilsons_interval():
    rng = np.random.default_rng(0)
    labels = np.zeros(300, dtype=int)
    predicted = predictions(rng, 300, np.array([0.87]))
    got = score_interval("accuracy", predicted, labels, 2)
    want = wilson(int((predicted == 0).sum()), 300)
    assert (got.value, got.low, got.high) == pytest.approx((want.value, want.low, want.high), abs=2e-3)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("count", [1, 3])
def test_never_zero_width_at_the_ends(metric, count):
    labels = np.arange(60) % 3
    right = score_interval(metric, np.tile(labels, (count, 1)), labels, 3)
    wrong = score_interval(metric, np.tile((labels + 1) % 3, (count, 1)), labels, 3)
    assert right.value == right.high == 1.0
    assert right.low == pytest.approx(wilson(60, 60).low, abs=1e-9)
    assert wrong.value == wrong.low == 0.0
    assert wrong.high == pytest.approx(wilson(0, 60).high, abs=1e-9)


def test_a_shared_seed_is_no_more_rows():
    """Three copies of one run say nothing that one does not."""
    rng = np.random.default_rng(5)
    one = predictions(rng, 400, np.array([0.9]))
    labels = np.zeros(400, dtype=int)
    for metric in METRICS:
        a, b = score_interval(metric, one, labels, 2), score_interval(metric, np.tile(one, (3, 1)), labels, 2)
        assert (a.low, a.high) == pytest.approx((b.low, b.high), abs=1e-9)


def test_seeds_that_differ_more_widen_the_interval_and_given_models_do_not():
    rng = np.random.default_rng(6)
    latent = rng.standard_normal(2000)
    labels = np.zeros(2000, dtype=int)
    near = predictions(rng, 2000, np.array([0.90, 0.90, 0.90]), latent=latent)
    far = predictions(rng, 2000, np.array([0.86, 0.90, 0.94]), latent=latent)
    width = {}
    for name, predicted in (("near", near), ("far", far)):
        for retrained in (True, False):
            got = score_interval("accuracy", predicted, labels, 2, retrained=retrained)
            width[name, retrained] = got.high - got.low
    assert width["far", True] > 3 * width["near", True]
    assert width["far", False] < 1.2 * width["near", False]


@pytest.mark.parametrize("metric", METRICS)
def test_value_is_the_metric_and_lies_inside_and_the_seed_decides(metric):
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 12, 90)
    predicted = np.where(rng.random((3, 90)) < 0.7, labels, rng.integers(0, 12, (3, 90)))
    got = score_interval(metric, predicted, labels, 14, seed=4, resamples=300)
    want = accuracy(labels, predicted) if metric == "accuracy" else macro_f1(labels, predicted, 14)
    assert got.value == pytest.approx(want)
    assert 0.0 <= got.low <= got.value <= got.high <= 1.0
    assert got == score_interval(metric, predicted, labels, 14, seed=4, resamples=300)


def test_satterthwaite_limits():
    assert freedom_of([(1.0, 2.0), (0.0, 50.0)], 1.0) == pytest.approx(2.0)
    assert freedom_of([(1.0, 10.0), (1.0, 10.0)], 2.0) == pytest.approx(20.0)


def test_150_classes_7600_rows_2000_resamples_are_quick():
    rng = np.random.default_rng(0)
    labels = rng.integers(150, size=7600)
    predicted = np.where(rng.random((1, 7600)) < 0.9, labels, rng.integers(150, size=(1, 7600)))
    start = time.process_time()
    score_interval("macro_f1", predicted, labels, 150)
    assert time.process_time() - start < 5.0  # about half a second; a loop over resamples takes far longer


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: score_interval("accuracy", [[0, 1]], [0, 1, 1], 2), DataError),
        (lambda: score_interval("accuracy", [0, 2], [0, 1], 2), DataError),
        (lambda: score_interval("accuracy", [0.5, 1.0], [0, 1], 2), DataError),
        (lambda: score_interval("macro_f1", [], [], 2), DataError),
        (lambda: score_interval("f2", [0], [0], 2), UsageError),
        (lambda: score_interval("accuracy", [0], [0], 2, level=95), UsageError),
        (lambda: wilson(3, 2), UsageError),
    ],
)
def test_refusals(call, error):
    with pytest.raises(error) as caught:
        call()
    assert str(caught.value).endswith(".")


# --- coverage -------------------------------------------------------------------------------------------------------


def coverage_of_given_models(count: int, sd: float, rows: int, accuracy_: float, sets: int, seed: int) -> float:
    """Test sets drawn with replacement from a full set, predictions fixed: how many intervals hold the full set's."""
    rng = np.random.default_rng(seed)
    full = predictions(rng, rows, seeds(rng, accuracy_, sd, count))
    truth = float((full == 0).mean())
    zeros = np.zeros(rows, dtype=int)
    hits = [
        covered(score_interval("accuracy", full[:, rng.integers(rows, size=rows)], zeros, 2, retrained=False), truth)
        for _ in range(sets)
    ]
    return float(np.mean(hits))


def coverage_of_recipes(count: int, sd: float, rows: int, accuracy_: float, worlds: int, seed: int) -> float:
    """New rows and new trainings each time: how many intervals hold the recipe's own accuracy."""
    rng = np.random.default_rng(seed)
    zeros = np.zeros(rows, dtype=int)
    hits = 0
    for _ in range(worlds):
        predicted = predictions(rng, rows, seeds(rng, accuracy_, sd, count))
        hits += covered(score_interval("accuracy", predicted, zeros, 2), accuracy_)
    return hits / worlds


@pytest.mark.parametrize(("count", "sd"), [(1, 0.0), (3, 0.003), (3, 0.01)])
def test_200_resampled_test_sets_hold_the_full_sets_accuracy(count, sd):
    # the 200 of the issue, for five full sets: a share of 1000 has standard error 0.7 points
    hits = [coverage_of_given_models(count, sd, 872, 0.91, 200, seed) for seed in range(5)]
    assert 0.92 <= np.mean(hits) <= 0.98


@pytest.mark.parametrize(("count", "sd"), [(3, 0.003), (3, 0.01), (5, 0.005)])
def test_intervals_hold_the_recipes_accuracy_on_new_rows_and_seeds(count, sd):
    assert 0.92 <= coverage_of_recipes(count, sd, 500, 0.9, 700, 3) <= 0.985


def test_a_rows_only_interval_misses_the_recipe():
    """The bound above can fail: without the seeds' part it does."""
    rng = np.random.default_rng(4)
    zeros = np.zeros(2000, dtype=int)
    hits = [
        covered(score_interval("accuracy", predictions(rng, 2000, seeds(rng, 0.9, 0.01, 3)), zeros, 2, retrained=False), 0.9)
        for _ in range(300)
    ]
    assert np.mean(hits) < 0.87


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 500, 2000])
@pytest.mark.parametrize("accuracy_", [0.6, 0.9, 0.97, 0.99])
@pytest.mark.parametrize("count", [1, 3])
def test_coverage_of_given_models_everywhere(rows, accuracy_, count):
    hits = [coverage_of_given_models(count, 0.003, rows, accuracy_, 200, seed) for seed in range(20)]
    # at .99 and 100 rows the number of errors is 0, 1, 2: coverage moves in steps, and some full sets hold no error
    low = 0.90 if (rows, accuracy_) == (100, 0.99) else 0.92
    assert low <= np.mean(hits) <= (1.0 if low < 0.92 else 0.985)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 500, 2000])
@pytest.mark.parametrize("accuracy_", [0.6, 0.9, 0.97])
@pytest.mark.parametrize(("count", "sd"), [(3, 0.003), (3, 0.005), (5, 0.005), (5, 0.01)])
def test_coverage_of_recipes_everywhere(rows, accuracy_, count, sd):
    # three trainings that differ more than rows do say little of how much trainings differ
    low = 0.90 if (rows, accuracy_, count) == (2000, 0.97, 3) else 0.92
    assert low <= coverage_of_recipes(count, sd, rows, accuracy_, 1000, 8) <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize("retrained", [True, False])
@pytest.mark.parametrize(("rows", "classes", "right"), [(100, 2, 0.97), (500, 6, 0.9), (500, 20, 0.85), (2000, 6, 0.92)])
def test_coverage_of_macro_f1(rows, classes, right, retrained):
    rng = np.random.default_rng(rows + classes)
    prior = np.exp(-2.0 * np.arange(classes) / classes)
    prior /= prior.sum()
    wrong = rng.dirichlet(np.ones(classes), size=classes)

    def world(n: int, accuracies: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        labels = rng.choice(classes, size=n, p=prior)
        missed = predictions(rng, n, accuracies) == 1
        other = (wrong.cumsum(axis=1)[labels] < rng.random((len(accuracies), n, 1))).sum(axis=2)
        return labels, np.where(missed, np.minimum(other, classes - 1), labels)

    labels, predicted = world(400_000, np.array([right]))
    truth = macro_f1(labels, predicted, classes)
    hits = []
    for _ in range(600):
        # with retrained=False the seeds have one true score, so that both readings have the same truth
        labels, predicted = world(rows, seeds(rng, right, 0.005 if retrained else 0.0, 3))
        got = score_interval("macro_f1", predicted, labels, classes, resamples=400, retrained=retrained)
        hits.append(covered(got, truth))
    assert 0.92 <= np.mean(hits) <= 0.985
