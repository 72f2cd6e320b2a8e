"""The recommendation, case by case: the gaps are given, so what is chosen and what is said can be worked out by hand."""

from __future__ import annotations

import itertools

import pytest

from maskfork.decide.compare.constraints import Measures, breaches
from maskfork.decide.compare.recommend import Candidate, Gap, Power, Recommendation, fewer_labels, recommend
from maskfork.decide.compare.settings import Constraints


def decide(candidates: list[Candidate], half_width: float, constrained: bool = False) -> Recommendation:
    """Gaps are the differences of the scores, give or take `half_width`."""
    scores = {c.name: c.score for c in candidates}

    def gap(a: str, b: str) -> Gap:
        value = scores[a] - scores[b]
        return Gap(value, value - half_width, value + half_width)

    return recommend(candidates, gap, lambda a, b: Power(0.05, 1234), constrained=constrained)


LIMITS = Constraints(p99_ms=50, qps=100, memory_mb=2000, max_cost_per_million=5, price_per_hour=0.1)
SLOW = tuple(breaches(Measures(80, 200, 100, 1.0), LIMITS))
SLOWER = tuple(breaches(Measures(500, 200, 100, 1.0), LIMITS))


def test_the_best_wins_where_it_is_separated() -> None:
    got = decide([Candidate("bert", 0.90, cost=9), Candidate("gpt", 0.80, cost=1), Candidate("floor", 0.7)], 0.05)
    assert got.winner == "bert"
    assert not got.cannot_tell
    assert got.label_more is None
    assert got.detectable is None
    words = "it is better than gpt by 10.0 points of accuracy (95 % interval 5.0 to 15.0)."
    assert got.first_line == f"Use bert: {words}"
    assert got.reason == f"I{words[1:]}"


def test_cannot_tell_goes_by_price_and_says_so() -> None:
    got = decide([Candidate("bert", 0.90, cost=9), Candidate("gpt", 0.88, cost=1), Candidate("floor", 0.7)], 0.05)
    assert got.winner == "gpt"
    assert got.cannot_tell
    assert got.label_more == 1234
    assert got.detectable == 0.05
    assert got.first_line == (
        "Use gpt: these rows cannot tell it from bert, which is 2.0 points of accuracy (95 % interval -3.0 to 7.0) ahead, "
        "and of those that cannot be told apart it is the cheapest (1.00 per million texts, against 9.00 per million "
        "texts)."
    )
    assert "better" not in got.first_line + got.reason


def test_cannot_tell_and_the_best_is_the_cheapest_too() -> None:
    got = decide([Candidate("bert", 0.90, cost=1), Candidate("gpt", 0.88, cost=9)], 0.05)
    assert (got.winner, got.cannot_tell) == ("bert", True)
    assert "cannot tell it from gpt, which is 2.0 points of accuracy (95 % interval -3.0 to 7.0) behind" in got.first_line
    assert "and it is the cheapest of them (1.00 per million texts)" in got.reason
    assert "better" not in got.reason


def test_a_cheap_one_near_chance_is_not_taken_unless_all_are() -> None:
    bert, floor = Candidate("bert", 0.44, cost=9), Candidate("floor", 0.38, cost=1, near_chance=True)
    got = decide([bert, floor], 0.1)
    assert (got.winner, got.cannot_tell) == ("bert", True)
    assert "the cheapest of those that beat always giving the commonest label (9.00 per million texts)" in got.first_line
    other = Candidate("gpt", 0.43, cost=2)
    assert decide([bert, floor, other], 0.1).winner == "gpt"
    lost = decide([Candidate("bert", 0.38, cost=9, near_chance=True), floor], 0.1)
    assert lost.winner == "floor"
    assert lost.first_line.endswith("but none of them can be told from always giving the commonest label.")


@pytest.mark.parametrize(("low", "separates"), [(0.0, False), (1e-9, True), (-0.01, False)])
def test_an_interval_that_touches_zero_separates_nothing(low: float, separates: bool) -> None:
    assert Gap(0.02, low, 0.05).separates is separates
    assert Gap(-0.02, -0.05, -low).separates is separates


def test_a_broken_constraint_takes_the_best_out() -> None:
    candidates = [Candidate("bert", 0.95, SLOW), Candidate("gpt", 0.85), Candidate("floor", 0.70)]
    got = decide(candidates, 0.05, constrained=True)
    assert got.winner == "gpt"
    assert got.reason.endswith("; bert scores higher and breaks a constraint: p99 latency is 80 ms, above 50 ms.")
    assert "bert" not in got.first_line
    worse = [Candidate("bert", 0.95), Candidate("gpt", 0.85), Candidate("floor", 0.70, SLOW)]
    assert decide(worse, 0.05, constrained=True).reason.endswith("; it meets every constraint, which 1 of 3 do not.")
    kept = [Candidate("bert", 0.95), Candidate("gpt", 0.85)]
    assert decide(kept, 0.05, constrained=True).reason.endswith("; every contender meets the constraints.")


def test_one_left_by_the_constraints_needs_no_difference() -> None:
    got = decide([Candidate("bert", 0.95, SLOW), Candidate("floor", 0.70)], 0.05, constrained=True)
    assert got.winner == "floor"
    assert not got.cannot_tell
    assert got.first_line == "Use floor: it is the only contender left, so there is no difference to show."


def test_none_meets_the_constraints_names_the_nearest() -> None:
    got = decide([Candidate("bert", 0.95, SLOWER), Candidate("floor", 0.70, SLOW)], 0.05, constrained=True)
    assert got.winner == "floor"
    assert got.reason == ("No contender meets every constraint; floor comes nearest: p99 latency is 80 ms, above 50 ms.")


def test_without_a_price_for_this_machine_local_models_have_no_bill() -> None:
    fast = Candidate("fast", 0.80, texts_per_second=1000.0)
    slow = Candidate("slow", 0.81, texts_per_second=10.0)
    paid = Candidate("paid", 0.82, cost=3.0, remote=True)
    unknown = Candidate("unknown", 0.83, remote=True)
    order = []
    field = [fast, slow, paid, unknown]
    while field:
        winner = decide(field, 0.5).winner
        order.append(winner)
        field = [c for c in field if c.name != winner]
    assert order == ["fast", "slow", "paid", "unknown"]


def test_with_prices_everywhere_price_decides_across_machines() -> None:
    here = Candidate("here", 0.80, cost=8.0, texts_per_second=1000.0)
    there = Candidate("there", 0.81, cost=3.0, remote=True)
    assert decide([here, there], 0.5).winner == "there"


def test_the_order_in_which_contenders_are_named_does_not_matter() -> None:
    candidates = [Candidate(n, s, cost=c) for n, s, c in (("a", 0.8, 3), ("b", 0.82, 2), ("c", 0.81, 1), ("d", 0.6, 0))]
    said = {repr(decide(list(order), 0.03)) for order in itertools.permutations(candidates)}
    assert len(said) == 1


def test_breaches_say_what_and_how_far() -> None:
    assert breaches(Measures(49, 101, 1999, 4.9), LIMITS) == []
    all_broken = breaches(Measures(100, 50, 4000, 10), LIMITS)
    assert [b.ratio for b in all_broken] == [2, 2, 2, 2]
    unknown = breaches(Measures(), LIMITS)
    assert len(unknown) == 4
    assert all(b.ratio == float("inf") for b in unknown)
    remote = breaches(Measures(10, 200, None, None, remote=True), LIMITS)
    assert [b.sentence for b in remote] == ["Its cost is not known: give --price-in and --price-out."]
    assert breaches(Measures(), Constraints()) == []


def test_fewer_labels_are_named_only_where_the_interval_says_so() -> None:
    near = Gap(0.005, -0.004, 0.015)
    wide = Gap(0.005, -0.05, 0.06)  # cannot be separated, and that alone says nothing
    assert fewer_labels("bert", 6920, [(8, wide), (64, wide)]) is None
    said = fewer_labels("bert", 6920, [(512, near), (64, wide), (2048, near)])
    assert said is not None
    assert said.startswith("512 labels do nearly as well for bert")
    assert "+0.5 points, at most 1.5" in said
