"""Which runs there are, which rows each gets, and in which order they go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from maskfork.decide.compare.contender import HeldOut
from maskfork.decide.compare.plan import Plan, make_plan
from maskfork.decide.compare.settings import CompareSettings
from maskfork.errors import UsageError
from maskfork.learn.data.rows import Rows
from tests.decide.compare.fakes import Oracle, mood_rows

TRAIN, TEST = mood_rows(100, seed=0, classes=3), mood_rows(30, seed=1, classes=3)
HELD = HeldOut(TEST.texts)


def planned(budgets: tuple[int | None, ...] = (0, 8, 64, None), train: Rows = TRAIN, **settings: Any) -> Plan:
    contenders = [
        Oracle(TEST, 0.9, series="bert", guess=5.0),
        Oracle(TEST, 0.8, series="floor", guess=0.1, kind="tf-idf"),
        Oracle(TEST, 0.7, series="gpt", guess=2.0, kind="prompt"),
    ]
    return make_plan(contenders, train, HELD, CompareSettings(budgets=budgets, **settings))


def test_entries_are_contenders_at_the_budgets_that_apply() -> None:
    plan = planned()
    names = [entry.name for entry in plan.entries]
    assert names == ["bert @ 8", "bert @ 64", "bert @ 100", "floor @ 8", "floor @ 64", "floor @ 100", "gpt @ 0", "gpt @ 8"]
    assert [e.name for e in plan.entries if e.finalist] == ["bert @ 100", "floor @ 100", "gpt @ 0", "gpt @ 8"]
    why = dict(plan.not_run)
    assert set(why) == {"bert, floor @ 0", "gpt @ 64, 100"}  # one line a reason
    assert "without labels" in why["bert, floor @ 0"]
    zero_shot = next(entry for entry in plan.entries if entry.name == "gpt @ 0")
    assert [run.seed for run in zero_shot.runs] == [0]  # another seed would be the same run


def test_budgets_are_nested_stratified_and_drawn_anew_by_each_seed() -> None:
    plan = planned(seeds=3)
    rows = {(r.name, r.seed): set(r.rows.tolist()) for r in plan.runs}
    for seed in range(3):
        small, large = rows["bert @ 8", seed], rows["bert @ 64", seed]
        assert len(small) == 8
        assert small < large < rows["bert @ 100", seed] == set(range(100))
        assert set(TRAIN.labels[list(small)].tolist()) == {0, 1, 2}
        assert small == rows["floor @ 8", seed] == rows["gpt @ 8", seed]  # every contender gets the same labels
    assert rows["bert @ 8", 0] != rows["bert @ 8", 1]


def test_every_contender_is_seen_once_before_any_is_seen_again_and_the_cheap_go_first() -> None:
    plan = planned(seeds=2)
    seeds = [run.seed for run in plan.runs]
    assert seeds == sorted(seeds)
    first = [run.seconds for run in plan.runs if run.seed == 0]
    assert first == sorted(first)


def test_keys_say_what_decides_a_run_and_no_more() -> None:
    before = {(r.name, r.seed): r.key for r in planned().runs}
    assert len(set(before.values())) == len(before)
    again = {(r.name, r.seed): r.key for r in planned(budgets=(8, None), seeds=2).runs}
    assert again.items() <= before.items()  # fewer budgets and seeds: the same runs are still the same
    other_labels = Rows(TRAIN.texts, None, (TRAIN.labels + 1) % 3, TRAIN.label_names, TRAIN.row_ids)
    changed = {(r.name, r.seed): r.key for r in planned(train=other_labels).runs}
    assert [k for k in before if before[k] == changed[k]] == [("gpt @ 0", 0)]  # zero-shot reads no label


class Renamed(Oracle):
    def identity(self) -> Mapping[str, Any]:
        return {**super().identity(), "recipe": 2}


def test_another_recipe_is_another_key() -> None:
    settings = CompareSettings(budgets=(8,), seeds=1)
    first = make_plan([Oracle(TEST, 0.9)], TRAIN, HELD, settings).runs[0].key
    assert make_plan([Renamed(TEST, 0.9)], TRAIN, HELD, settings).runs[0].key != first
    fewer = HeldOut(TEST.texts[:-1])
    assert make_plan([Oracle(TEST, 0.9)], TRAIN, fewer, settings).runs[0].key != first


def test_budgets_that_cannot_be_are_said() -> None:
    plan = planned(budgets=(2, 64, 512))
    why = dict(plan.not_run)
    assert why["budget 512"] == "There are only 100 rows to train on."
    assert why["bert, floor @ 2"] == "So few rows cannot hold one of each of the 3 labels."
    with pytest.raises(UsageError, match="Every budget is beyond the 100 rows"):
        planned(budgets=(512,))
    with pytest.raises(UsageError, match="No contender can run"):
        make_plan([Oracle(TEST, 0.9)], TRAIN, HELD, CompareSettings(budgets=(0,)))
    with pytest.raises(UsageError, match="both named 'oracle'"):
        make_plan([Oracle(TEST, 0.9), Oracle(TEST, 0.8)], TRAIN, HELD, CompareSettings())


def test_held_out_rows_carry_no_labels() -> None:
    assert set(HeldOut.__dataclass_fields__) == {"texts", "pairs"}
    digests = {HeldOut(t, p).digest() for t, p in ((("a", "b"), None), (("ab",), None), (("a",), ("b",)), (("b", "a"), None))}
    assert len(digests) == 4
    assert np.array_equal(planned(budgets=(None,)).runs[0].rows, np.arange(100))
