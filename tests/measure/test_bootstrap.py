"""Intervals by drawing rows again: the value is the plain one, the width is known theory's, differences are paired."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.measure.bootstrap import bootstrap_difference, bootstrap_interval, f1_of_counts, share
from maskfork.measure.intervals import wilson
from maskfork.measure.spans import SpanScore


def test_a_share_has_the_width_of_a_proportion() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(800) < 0.8
    found = bootstrap_interval(np.stack([right, np.ones(800)], 1), share)
    known = wilson(int(right.sum()), 800)
    assert found.value == right.mean()
    assert found.low == pytest.approx(known.low, abs=0.004)
    assert found.high == pytest.approx(known.high, abs=0.004)


def test_f1_is_that_of_the_span_scores_to_the_last_digit() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        gold, guess = rng.integers(0, 5, 40), rng.integers(0, 5, 40)
        counts = np.stack([rng.integers(0, np.minimum(gold, guess) + 1), guess, gold], 1)
        assert bootstrap_interval(counts, f1_of_counts, resamples=2).value == SpanScore(*counts.sum(0).tolist()).f1
    assert bootstrap_interval([[0, 0, 0]], f1_of_counts).value == 0


def test_rows_that_go_together_are_drawn_together() -> None:
    """Ten questions on each paragraph, all right or all wrong: the interval is that of the paragraphs."""
    right = np.random.default_rng(2).random(60) < 0.7
    together = bootstrap_interval(np.stack([10 * right, np.full(60, 10)], 1), share)
    apart = bootstrap_interval(np.stack([np.repeat(right, 10), np.ones(600)], 1), share)
    assert together.high - together.low > 2.5 * (apart.high - apart.low)


def test_differences_are_paired() -> None:
    rng = np.random.default_rng(3)
    a = rng.random(500) < 0.8
    b = a.copy()
    b[:10] = False
    one = np.ones(500)
    gap = bootstrap_difference(np.stack([a, one], 1), np.stack([b, one], 1), share)
    assert gap.value == pytest.approx(a.mean() - b.mean())
    assert 0 < gap.low < gap.value < gap.high < 0.04
    assert bootstrap_difference(np.stack([a, one], 1), np.stack([a, one], 1), share).high == 0


def test_all_right_has_a_width_and_no_rows_are_refused() -> None:
    found = bootstrap_interval(np.ones((50, 2)), share)
    assert found.value == found.high == 1.0
    assert 0.9 < found.low < 0.95
    with pytest.raises(DataError, match="a row of counts at least"):
        bootstrap_interval(np.zeros((0, 2)), share)
    with pytest.raises(DataError, match="the same rows on both sides"):
        bootstrap_difference(np.ones((2, 2)), np.ones((3, 2)), share)
