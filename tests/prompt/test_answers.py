from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskfork.prompt.answers import likelihood_probs, parse_answer, smoothing_from_gold, stated_probs

MOODS = ("positive", "negative", "mixed")
SIZES = ("good", "very good", "not sure", "C++", "C")


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("positive", 0),
        ("  Negative.\n", 1),
        ("**MIXED**", 2),
        ('"positive"', 0),
        ('{"label": "negative"}', 1),
        ('```json\n{"label": "Mixed"}\n```', 2),
        ('Here you are: {"Label": "positive"} as you asked', 0),
        ('["negative"]', 1),
        ("Label: positive", 0),
        ("The answer is: negative!", 1),
        ("The review is clearly positive, all in all.", 0),
        ("positive\n\nThe writer did not like the negative press, though.", 0),
        ("It has good and bad sides, so it could be negative.\nBut on the whole:\nmixed", 2),
        ("<think>positive? negative?</think>\nmixed", 2),
        ("<think>It is not positive.</think> Negative", 1),
        ("", None),
        ("...", None),
        ("good", None),
        ("positive or negative", None),
        ("It is not positive.", None),
        ("It isn't really positive", None),
        ("neither", None),
        ("positively", None),
        ('{"label": "great"}', None),
        ('{"label": ["positive", "negative"]}', None),
        ("1", None),
        ("42", None),
    ],
)
def test_what_is_written_names_one_label_or_none(text: str, label: int | None) -> None:
    assert parse_answer(text, MOODS) == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("2", 1),
        ("(3)", 2),
        ("1.", 0),
        ("Option 2", 1),
        ("2. negative", 1),
        ("2) positive", None),
        ("2. negative, because it complains", 1),
        ('{"label": 3}', 2),
        ("0", None),
        ("4", None),
        ("Answer: 2", 1),
        ("mixed", 2),
        ("12", None),
    ],
)
def test_numbers_of_a_numbered_list(text: str, label: int | None) -> None:
    assert parse_answer(text, MOODS, numbered=True) == label


def test_a_label_that_is_a_number_is_not_a_place_in_the_list() -> None:
    stars = ("3", "2", "1")
    assert [parse_answer(t, stars, numbered=True) for t in ("1", "2.", '{"label": 3}')] == [2, 1, 0]


def test_labels_inside_of_labels() -> None:
    assert parse_answer("I find it very good.", SIZES) == 1
    assert parse_answer("I find it good.", SIZES) == 0
    assert parse_answer("Some is good, some very good.", SIZES) is None
    assert parse_answer("I am not sure", SIZES) == 2
    assert parse_answer("C++", SIZES) == 3
    assert parse_answer("c", SIZES) is None, "C and C++ are the same but for punctuation"
    assert parse_answer("Vitamin C is in it", SIZES) is None, "one letter is no mention"


def test_labels_that_differ_in_case_only() -> None:
    assert parse_answer("US", ("us", "US")) == 1
    assert parse_answer("Us", ("us", "US")) is None


def test_labels_in_other_scripts_and_with_underscores() -> None:
    assert parse_answer("Très Bon!", ("très bon", "mauvais")) == 0
    assert parse_answer("好评。", ("好评", "差评")) == 0
    assert parse_answer("I choose card arrival here", ("card_arrival", "card_lost")) == 0


@given(st.text(max_size=80))
def test_any_text_is_read_without_an_error(text: str) -> None:
    assert parse_answer(text, MOODS) in (0, 1, 2, None)
    assert parse_answer(text, MOODS, numbered=True) in (0, 1, 2, None)


@given(
    st.sampled_from(range(3)),
    st.sampled_from(["{}", "{}.", " {} ", '"{}"', "Label: {}", "*{}*", "{}\n", '{{"label": "{}"}}']),
)
def test_each_label_survives_its_wrappings(label: int, wrapping: str) -> None:
    assert parse_answer(wrapping.format(MOODS[label]), MOODS) == label


def test_stated_labels() -> None:
    np.testing.assert_allclose(stated_probs(1, 3, 0.1), [0.05, 0.9, 0.05])
    np.testing.assert_allclose(stated_probs(None, 4), [0.25] * 4)


def test_eps_out_of_gold_rows_is_laplaces_rule() -> None:
    assert smoothing_from_gold([0, 1, None, 1], [0, 0, 1, 1]) == pytest.approx(2 / 5)
    assert smoothing_from_gold([], []) == 0.5


def lp(**chances: float) -> list[tuple[str, float]]:
    return [(token, math.log(p)) for token, p in chances.items()]


def test_first_tokens_give_the_labels_probabilities() -> None:
    top = [(" Positive", math.log(0.5)), ("pos", math.log(0.2)), ("neg", math.log(0.1)), ("The", math.log(0.1))]
    probs = likelihood_probs([("\n", []), (" Positive", top)], MOODS, 0)
    assert probs is not None
    # mixed is not among the tokens: the most it can have is the least shown (0.1), or what is left over (0.1)
    np.testing.assert_allclose(probs, np.array([0.7, 0.1, 0.1]) / 0.9)


def test_no_probabilities_where_the_first_token_cannot_tell() -> None:
    names = ("neutral", "negative", "positive")
    assert likelihood_probs([("ne", lp(ne=0.9, pos=0.1))], names, 0) is None
    told = likelihood_probs([("neutral", lp(neutral=0.6, negative=0.3, positive=0.095, ne=0.005))], names, 0)
    assert told is not None, "half a percent that cannot be told apart does not matter"
    np.testing.assert_allclose(told, np.array([0.6, 0.3, 0.095]) / 0.995)


def test_no_probabilities_where_they_are_not_about_the_labels() -> None:
    assert likelihood_probs([("The", lp(The=0.9, positive=0.1))], MOODS, 0) is None, "starts with another word"
    assert likelihood_probs([("positive", lp(Well=0.7, positive=0.3))], MOODS, 0) is None, "labels have too little"
    assert likelihood_probs([("positive", lp(positive=0.4, negative=0.6))], MOODS, 0) is None, "another is likelier"
    assert likelihood_probs([], MOODS, 0) is None
    assert likelihood_probs([("positive", [])], MOODS, 0) is None
