from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskfork.errors import DataError
from maskfork.learn.data.split import grouped, latest, nested_budgets, parse_times, stratified, test_size


@pytest.mark.parametrize(("rows", "expected"), [(60, 24), (200, 80), (250, 100), (400, 100), (500, 100), (1000, 200), (3, 1)])
def test_at_least_a_hundred_rows_but_never_most_of_a_small_file(rows: int, expected: int) -> None:
    assert test_size(rows, 0.2) == expected


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(2, 60), min_size=2, max_size=8), st.integers(0, 5))
def test_stratified_keeps_proportions_and_every_class_in_train(sizes: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    wanted = test_size(len(labels), 0.2)
    train, test = stratified(labels, np.arange(len(labels)), wanted, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        held = int((labels[test] == label).sum())
        assert 1 <= held < size
        assert abs(held - wanted * size / len(labels)) <= 1


def test_same_seed_same_rows_other_seed_other_rows() -> None:
    labels = np.arange(300) % 3
    first = stratified(labels, np.arange(300), 60, 0)[1]
    assert (first == stratified(labels, np.arange(300), 60, 0)[1]).all()
    assert set(first) != set(stratified(labels, np.arange(300), 60, 1)[1])


def test_copies_land_on_one_side() -> None:
    rng = np.random.default_rng(0)
    units = rng.integers(0, 150, size=400)
    labels = units % 4
    train, test = stratified(labels, units, 80, 3)
    assert not set(units[train]) & set(units[test])
    assert 70 <= len(test) <= 80


def test_a_class_of_one_text_stays_in_train() -> None:
    labels = np.array([0] * 20 + [1] * 5)
    units = np.array([*range(20), *[20] * 5])
    train, test = stratified(labels, units, 5, 0)
    assert set(range(20, 25)) <= set(train.tolist())
    assert len(test)


def test_groups_are_never_split_and_classes_stay_even() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 50, size=1000)
    labels = rng.integers(0, 3, size=1000)
    train, test = grouped(labels, groups, 200, 0, "user")
    assert not set(groups[train]) & set(groups[test])
    assert 170 <= len(test) <= 230
    assert np.abs(np.bincount(labels[test]) / len(test) - 1 / 3).max() < 0.07


def test_one_group_cannot_be_held_out() -> None:
    with pytest.raises(DataError, match='"user" has 1 group'):
        grouped(np.array([0, 1] * 5), np.zeros(10, dtype=np.int64), 2, 0, "user")


def test_the_latest_rows_are_held_out_and_one_time_stays_together() -> None:
    times = np.array([5.0, 1, 2, 3, 4, 9, 9, 9, 0, 1])
    train, test = latest(times, 2, "date")
    assert test.tolist() == [5, 6, 7]
    assert times[train].max() < times[test].min()
    train, test = latest(np.array([1.0, 2, 2, 2, 3]), 2, "date")
    assert test.tolist() == [4]  # the border's rows would be most of the file, so they stay in train
    with pytest.raises(DataError, match="one time only"):
        latest(np.ones(5), 1, "date")


def test_times_are_numbers_or_iso_dates() -> None:
    rows = np.arange(3)
    assert parse_times(["3", "1.5", "-2"], "t", rows).tolist() == [3.0, 1.5, -2.0]
    dates = parse_times(["2024-03-31", "2024-03-31T12:00:00", "2024-03-31T14:00:00+02:00"], "t", rows)
    assert np.diff(dates).tolist() == [12 * 3600, 0]
    with pytest.raises(DataError, match='"31/3/24" in row 3'):
        parse_times(["2024-03-31", "2024-04-01", "31/3/24"], "t", rows)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=2, max_size=7),
    st.lists(st.one_of(st.none(), st.integers(0, 300)), min_size=1, max_size=6),
    st.integers(0, 3),
)
def test_budgets_are_nested_stratified_and_hold_every_class(sizes: list[int], budgets: list[int | None], draw: int) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    total, classes = len(labels), len(sizes)
    bought = nested_budgets(labels, [*budgets, None], draw)
    whole = bought[None]
    assert sorted(whole.tolist()) == list(range(total))
    for budget, rows in bought.items():
        size = total if budget is None else min(budget, total)
        assert (rows == whole[:size]).all()  # the prefix property: every smaller budget is inside every larger one
        if size >= classes:
            counts = np.bincount(labels[rows], minlength=classes)
            assert counts.min() >= 1
            assert (np.abs(counts - size * np.array(sizes) / total) <= classes).all()


def test_another_draw_is_another_sample() -> None:
    labels = np.arange(200) % 4
    draws = [frozenset(nested_budgets(labels, [16], draw)[16].tolist()) for draw in range(5)]
    assert len(set(draws)) == 5
    assert (nested_budgets(labels, [16], 2)[16] == nested_budgets(labels, [16], 2)[16]).all()
    assert all(np.bincount(labels[list(draw)]).tolist() == [4, 4, 4, 4] for draw in draws)


def test_a_small_budget_is_fair_over_draws() -> None:
    """With fewer rows than classes, every class has its turn."""
    labels = np.arange(200) % 10
    seen = np.zeros(10)
    for draw in range(200):
        seen += np.bincount(labels[nested_budgets(labels, [3], draw)[3]], minlength=10)
    assert seen.min() > 30


def test_a_negative_budget_is_refused() -> None:
    with pytest.raises(DataError, match="-1"):
        nested_budgets(np.array([0, 1]), [-1], 0)
