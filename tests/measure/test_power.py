from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from maskfork.errors import UsageError
from maskfork.measure.paired import difference_interval
from maskfork.measure.power import detectable_difference, rows_needed, separation


def pairs(rng, rows, difference, discordance, worlds):
    """Rows won by a only and by b only, [worlds] each."""
    a_only, b_only = (discordance + difference) / 2, (discordance - difference) / 2
    counts = rng.multinomial(rows, [a_only, b_only, 1 - discordance], size=worlds)
    return counts[:, 0], counts[:, 1]


def power_of_intervals(rows, difference, discordance, worlds=1500, seed=0):
    """Share of worlds in which the paired interval excludes 0, by drawing the worlds."""
    shown = 0
    zeros = np.zeros(rows, dtype=int)
    for won, lost in zip(*pairs(np.random.default_rng(seed), rows, difference, discordance, worlds), strict=True):
        a, b = np.zeros(rows, dtype=int), np.zeros(rows, dtype=int)
        b[:won] = 1
        a[won : won + lost] = 1
        shown += difference_interval(a, b, zeros, num_classes=2).low > 0
    return shown / worlds


@pytest.mark.parametrize(("rows", "discordance"), [(500, 0.1), (2000, 0.05), (1000, 0.3)])
def test_the_detectable_difference_is_shown_in_80_percent_of_worlds(rows, discordance):
    difference = detectable_difference(rows, discordance)
    assert 0.76 <= power_of_intervals(rows, difference, discordance) <= 0.84
    assert power_of_intervals(rows, 0.7 * difference, discordance) < 0.65


def test_the_detectable_difference_agrees_with_mcnemars_power():
    difference = detectable_difference(2000, 0.1)
    won, lost = pairs(np.random.default_rng(3), 2000, difference, 0.1, 4000)
    ps = 2 * stats.binom.cdf(np.minimum(won, lost), won + lost, 0.5)
    assert 0.74 <= np.mean(ps < 0.05) <= 0.84  # the exact test is a little conservative


def test_the_rows_needed_give_80_percent():
    further = rows_needed(0.02, 0.08, 500)
    assert further > 0
    assert 0.76 <= power_of_intervals(500 + further, 0.02, 0.08, worlds=1200) <= 0.84


def test_the_two_are_one_relation():
    difference = detectable_difference(1200, 0.1, seeds=1e-5)
    assert rows_needed(difference * 1.0001, 0.1, 1200, seeds=1e-5) == 0
    assert rows_needed(-difference, 0.1, 600, seeds=1e-5) == pytest.approx(600, abs=2)


def test_no_number_of_rows():
    assert rows_needed(0.0, 0.1, 500) is None
    assert rows_needed(0.01, 0.1, 500, seeds=0.01**2) is None  # the seeds alone hide it
    assert rows_needed(0.01, 0.1, 500, seeds=0.002**2) > 0


def test_few_rows_show_only_large_differences_and_three_none():
    assert detectable_difference(3, 0.1) is None
    assert 0.9 > detectable_difference(10, 0.0) > 0.5  # more than the discordance seen: all rows in one's favour
    assert detectable_difference(10**6, 0.1) < 0.001


@pytest.mark.parametrize("kwargs", [{"rows": 0}, {"discordance": 1.2}, {"seeds": -1.0}, {"power": 1.0}])
def test_refusals(kwargs):
    with pytest.raises(UsageError, match=r"\.$"):
        detectable_difference(**{"rows": 10, "discordance": 0.1, **kwargs})
    with pytest.raises(UsageError):
        rows_needed(1.5, 0.1, 10)


def test_separation_in_words():
    rng = np.random.default_rng(0)
    labels = np.zeros(400, dtype=int)
    a = (rng.random((3, 400)) > 0.91).astype(int)
    b = (rng.random((3, 400)) > 0.90).astype(int)
    got = separation(a, b, labels)
    assert got.observed == pytest.approx((a == 0).mean() - (b == 0).mean())
    assert got.detectable is not None
    assert "400 test rows" in got.sentence
    same = separation(a, a, labels)
    assert same.further is None
    assert "0, which no number" in same.sentence
    far = separation(labels, 1 - labels, labels)
    assert far.further == 0
