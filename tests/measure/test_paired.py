from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from maskfork.errors import DataError, UsageError
from maskfork.measure.intervals import score_interval
from maskfork.measure.metrics import macro_f1
from maskfork.measure.paired import all_pairs, difference_interval, holm, mcnemar_exact
from maskfork.measure.resample import row_weights
from tests.measure.worlds import predictions, seeds


def two_contenders(rng, rows, a, b, count=1, sd=0.0):
    latent = rng.standard_normal(rows)
    return (
        predictions(rng, rows, seeds(rng, a, sd, count), latent=latent),
        predictions(rng, rows, seeds(rng, b, sd, count), latent=latent),
    )


@pytest.mark.parametrize("seed", range(8))
def test_mcnemar_is_statsmodels_and_binomtest(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, 5 + 10 * seed)) < [[0.8], [0.6]]
    only_a, only_b = int((a & ~b).sum()), int((~a & b).sum())
    got = mcnemar_exact(a, b)
    table = [[int((a & b).sum()), only_a], [only_b, int((~a & ~b).sum())]]
    assert got == pytest.approx(mcnemar(table, exact=True).pvalue)
    if only_a + only_b:
        assert got == pytest.approx(stats.binomtest(only_a, only_a + only_b).pvalue)


def test_mcnemar_without_a_discordant_row_is_one():
    assert mcnemar_exact([True, False], [True, False]) == 1.0


@pytest.mark.parametrize("count", [0, 1, 2, 7, 40])
def test_holm_is_statsmodels(count):
    ps = np.random.default_rng(count).random(count) ** 3
    want = multipletests(ps, method="holm")[1] if count else []
    assert holm(ps) == pytest.approx(want)


def test_one_seed_accuracy_is_bonett_and_price():
    rng = np.random.default_rng(1)
    a, b = two_contenders(rng, 400, 0.9, 0.86)
    only_a, only_b = int(((a == 0) & (b != 0)).sum()), int(((a != 0) & (b == 0)).sum())
    p, q = (only_a + 1) / 402, (only_b + 1) / 402
    half = stats.norm.ppf(0.975) * np.sqrt((p + q - (p - q) ** 2) / 402)
    got = difference_interval(a, b, np.zeros(400, dtype=int))
    assert got.value == pytest.approx((only_a - only_b) / 400)
    assert (got.low, got.high) == pytest.approx((p - q - half, p - q + half), abs=1e-4)


def test_macro_f1_is_close_to_the_percentile_bootstrap_of_the_same_rows():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 4, 800)
    a = np.where(rng.random(800) < 0.9, labels, rng.integers(0, 4, 800))
    b = np.where(rng.random(800) < 0.9, a, rng.integers(0, 4, 800))
    got = difference_interval(a, b, labels, "macro_f1", 4)
    draws = []
    for weights in row_weights(800, 500, 9):
        for column in weights.T.astype(int):
            rows = np.repeat(np.arange(800), column)
            draws.append(macro_f1(labels[rows], a[rows], 4) - macro_f1(labels[rows], b[rows], 4))
    assert (got.low, got.high) == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.15 * (got.high - got.low))


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_pairing_is_narrower_than_two_intervals_and_swaps_sign(metric):
    rng = np.random.default_rng(3)
    labels = np.zeros(1000, dtype=int)
    labels[500:] = 1
    a, b = (np.where(p == 0, labels, 1 - labels) for p in two_contenders(rng, 1000, 0.9, 0.88, 3, 0.003))
    got, back = (difference_interval(x, y, labels, metric, 2) for x, y in ((a, b), (b, a)))
    assert (got.value, got.low, got.high) == pytest.approx((-back.value, -back.high, -back.low))
    alone = [score_interval(metric, x, labels, 2) for x in (a, b)]
    apart = np.sqrt(sum((i.high - i.low) ** 2 for i in alone))
    assert got.high - got.low < 0.8 * apart


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_two_that_agree_on_every_row_are_not_proved_equal(metric):
    labels = np.arange(100) % 4
    got = difference_interval(labels, labels, labels, metric, 4)
    assert got.value == 0.0
    assert -0.05 < got.low < -0.01
    assert 0.01 < got.high < 0.05
    assert not got.excludes_zero


def test_copies_of_one_run_are_no_more_rows():
    rng = np.random.default_rng(8)
    a, b = two_contenders(rng, 300, 0.9, 0.88)
    labels = np.zeros(300, dtype=int)
    one, three = (difference_interval(np.tile(a, (s, 1)), np.tile(b, (s, 1)), labels) for s in (1, 3))
    assert (one.low, one.high) == pytest.approx((three.low, three.high))


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1"])
def test_all_pairs_is_each_pair_alone_and_holm_is_over_those_asked_for(metric):
    rng = np.random.default_rng(4)
    labels = rng.integers(0, 3, 200)
    contenders = [np.where(rng.random((s, 200)) < 0.8, labels, rng.integers(0, 3, (s, 200))) for s in (1, 3, 2)]
    found = all_pairs(contenders, labels, metric, 3, resamples=200)
    assert [(p.a, p.b) for p in found] == [(0, 1), (0, 2), (1, 2)]
    for pair in found:
        alone = difference_interval(contenders[pair.a], contenders[pair.b], labels, metric, 3, resamples=200)
        assert pair.difference.low == pytest.approx(alone.low)
        assert pair.mcnemar_p == mcnemar_exact(contenders[pair.a][0] == labels, contenders[pair.b][0] == labels)
    assert [p.holm_p for p in found] == pytest.approx(holm([p.mcnemar_p for p in found]))
    [one] = all_pairs(contenders, labels, metric, 3, resamples=200, pairs=[(1, 2)])
    assert one.difference == found[2].difference
    assert one.holm_p == one.mcnemar_p


def test_thirty_contenders_are_quick():
    rng = np.random.default_rng(0)
    labels = rng.integers(6, size=2000)
    contenders = [np.where(rng.random((3, 2000)) < 0.9, labels, rng.integers(6, size=(3, 2000))) for _ in range(30)]
    start = time.process_time()
    assert len(all_pairs(contenders, labels, "macro_f1", 6)) == 435
    assert time.process_time() - start < 15.0


def test_refusals():
    with pytest.raises(DataError):
        mcnemar_exact([True], [True, False])
    with pytest.raises(DataError):
        holm([0.5, 1.5])
    with pytest.raises(UsageError):
        difference_interval([0], [0], [0], "macro_f1")


def coverage(count, sd, rows, a, b, worlds, seed):
    rng = np.random.default_rng(seed)
    zeros = np.zeros(rows, dtype=int)
    hits = 0
    for _ in range(worlds):
        got = difference_interval(*two_contenders(rng, rows, a, b, count, sd), zeros, num_classes=2)
        hits += got.low <= a - b <= got.high
    return hits / worlds


@pytest.mark.parametrize(("count", "sd", "a", "b"), [(1, 0.0, 0.92, 0.9), (3, 0.003, 0.92, 0.9), (3, 0.008, 0.9, 0.9)])
def test_intervals_hold_the_true_difference(count, sd, a, b):
    assert 0.92 <= coverage(count, sd, 1000, a, b, 700, 1) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize("rows", [100, 500, 2000])
@pytest.mark.parametrize(("a", "b"), [(0.6, 0.55), (0.92, 0.9), (0.98, 0.97), (0.95, 0.95)])
@pytest.mark.parametrize(("count", "sd"), [(1, 0.0), (3, 0.005), (5, 0.005)])
def test_coverage_of_differences_everywhere(rows, a, b, count, sd):
    # with 100 rows, three of them discordant, the interval errs on the wide side
    assert 0.92 <= coverage(count, sd, rows, a, b, 1000, 2) <= (1.0 if rows == 100 else 0.99)
