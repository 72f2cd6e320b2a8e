"""SQuAD's exact match and F1: cases worked by hand from the scripts' definition, and bags of words counted another way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskfork.errors import DataError
from maskfork.measure.squad import (
    AnswerScore,
    answer_f1,
    best_threshold,
    exact_match,
    normalise_answer,
    score_answer,
    score_each,
    score_squad,
)


def test_what_normalising_takes_away() -> None:
    assert normalise_answer("The  U.S. Air-Force, (a)n") == "us airforce"
    assert normalise_answer("a An THE") == ""
    assert normalise_answer("the—cat «x»") == "—cat «x»"  # only ASCII marks go; the article beside a dash does too
    assert exact_match("Beyoncé!", "the beyoncé") == 1.0


def test_f1_of_bags_and_of_nothing() -> None:
    assert answer_f1("the cat sat cat", "cat cat on the mat") == pytest.approx(2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4))
    assert answer_f1("dog", "cat") == 0.0
    assert answer_f1("the", "a") == 0.0  # v1.1
    assert answer_f1("the", "a", with_no_answer=True) == 1.0  # v2.0
    assert answer_f1("", "cat", with_no_answer=True) == 0.0


def test_the_best_gold_answer_counts() -> None:
    both = score_answer("in the north of France", ["France", "north of France", "Paris"])
    assert (both.exact, both.f1) == (0.0, pytest.approx(2 * 0.75 * 1.0 / 1.75))
    assert score_answer("", [], with_no_answer=True).exact == 1.0
    assert score_answer("x", ["the"], with_no_answer=True) == AnswerScore(0.0, 0.0, True)
    assert score_answer("x", ["the", "x"], with_no_answer=True).f1 == 1.0
    with pytest.raises(DataError, match=r"v2\.0"):
        score_answer("x", [])


words = st.lists(st.sampled_from(["cat", "dog", "the", "x.", "Cat"]), max_size=6).map(" ".join)


@given(words, words)
def test_f1_is_dice_of_the_bags(one: str, two: str) -> None:
    a, b = (sorted(normalise_answer(side).split()) for side in (one, two))
    left = list(b)
    same = 0
    for word in a:
        if word in left:
            left.remove(word)
            same += 1
    assert answer_f1(one, two) == pytest.approx(2 * same / (len(a) + len(b)) if same else 0.0)


def test_all_questions_with_and_without_an_answer() -> None:
    gold = {"1": ["cat"], "2": ["a dog", "hound"], "3": [], "4": [], "5": ["x"]}
    found = score_squad({"1": "cat", "2": "big dog", "3": "", "4": "no", "extra": "y"}, gold, with_no_answer=True)
    assert (found.total, found.missing, found.has_answer_total, found.no_answer_total) == (5, 1, 3, 2)
    assert found.exact == pytest.approx(2 / 5)
    assert found.f1 == pytest.approx((1 + 2 / 3 + 1) / 5)
    assert (found.has_answer_exact, found.no_answer_exact) == (pytest.approx(1 / 3), 0.5)
    plain = score_squad({"1": "cat"}, {"1": ["cat"]})
    assert (plain.exact, plain.no_answer_f1, plain.no_answer_total) == (1.0, None, 0)
    with pytest.raises(DataError, match="no question"):
        score_squad({}, {})


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 4), st.booleans()), min_size=1, max_size=8))
def test_the_best_threshold_is_the_best_of_all(rows: list[tuple[float, int, bool]]) -> None:
    scores = [score if has else float(score > 0.5) for score, _, has in rows]
    no_answer, has = [float(n) for _, n, _ in rows], [h for *_, h in rows]

    def at(threshold: float) -> float:
        kept = [s if n <= threshold else float(not h) for s, n, h in zip(scores, no_answer, has, strict=True)]
        return float(np.mean(kept))

    threshold, best = best_threshold(scores, no_answer, has)
    assert best == pytest.approx(at(threshold))
    assert best == pytest.approx(max(at(t) for t in [-1.0, *no_answer]))


def test_gold_answers_of_the_real_set_score_themselves(data_dir: Path) -> None:
    articles = json.loads((data_dir / "qa/squad/split_v2.0_shared.json").read_text("utf-8"))["data"]
    gold = {
        qa["id"]: [answer["text"] for answer in qa["answers"]]
        for article in articles
        for paragraph in article["paragraphs"]
        for qa in paragraph["qas"]
    }
    first = {key: answers[0] if answers else "" for key, answers in gold.items()}
    found = score_squad(first, gold, with_no_answer=True)
    assert (found.exact, found.f1, found.total) == (1.0, 1.0, 9519)
    empty = score_squad(dict.fromkeys(gold, ""), gold, with_no_answer=True)
    assert empty.exact == pytest.approx(empty.no_answer_total / empty.total)
    assert all(one.f1 >= one.exact for one in score_each(first, gold, with_no_answer=True).values())
