"""Words, tokens and units: what shares a token shares a label."""

from __future__ import annotations

import numpy as np

from maskfork.learn.tasks.tag.examples import tag_names
from maskfork.learn.tasks.tag.units import targets, units_of, unreachable
from maskfork.measure.spans import Span

NAMES = tag_names("spans", ["LOC"])
INDEX = {name: i for i, name in enumerate(NAMES)}


def units(words: list[tuple[int, int]], places: list[tuple[int, int]]):  # type: ignore[no-untyped-def]
    return units_of(words, np.array(places, dtype=np.int64).reshape(-1, 2))


def test_a_unit_a_word() -> None:
    #               New York-based            new     yo      ##rk    -       based
    found = units([(0, 3), (4, 8), (8, 9), (9, 14)], [(0, 3), (4, 6), (6, 8), (8, 9), (9, 14)])
    assert found.first.tolist() == [0, 1, 3, 4]
    assert found.last.tolist() == [1, 3, 4, 5]
    assert [NAMES[i] for i in targets(found, [Span(0, 8, "LOC")], INDEX, words=False)] == ["B-LOC", "I-LOC", "O", "O"]
    assert unreachable(found, [Span(0, 8, "LOC")]) == 0
    assert unreachable(found, [Span(0, 7, "LOC"), Span(9, 14, "LOC")]) == 1


def test_words_of_one_token_are_one_unit() -> None:
    found = units([(0, 1), (1, 2), (2, 3), (3, 4)], [(0, 2), (2, 3), (3, 4)])
    assert found.start.tolist() == [0, 2, 3]
    assert found.end.tolist() == [2, 3, 4]
    assert found.word.tolist() == [0, 0, 1, 2]
    assert [NAMES[i] for i in targets(found, [Span(1, 3, "LOC")], INDEX, words=False)] == ["B-LOC", "I-LOC", "O"]
    assert unreachable(found, [Span(1, 3, "LOC")]) == 1


def test_several_tokens_of_one_letter_and_words_without_a_token() -> None:
    found = units([(0, 1), (2, 3), (4, 5)], [(0, 1), (0, 1), (0, 1), (4, 5)])
    assert found.word.tolist() == [0, -1, 1]
    assert (found.first.tolist(), found.last.tolist()) == ([0, 3], [3, 4])
    assert [NAMES[i] for i in targets(found, [Span(0, 5, "LOC")], INDEX, words=False)] == ["B-LOC", "I-LOC"]


def test_two_spans_that_touch_are_two() -> None:
    found = units([(0, 1), (1, 2)], [(0, 1), (1, 2)])
    assert [NAMES[i] for i in targets(found, [Span(0, 1, "LOC"), Span(1, 2, "LOC")], INDEX, words=False)] == ["B-LOC", "B-LOC"]


def test_labels_of_words_and_labels_never_seen() -> None:
    found = units([(0, 1), (2, 3)], [(0, 1), (2, 3)])
    index = {"NN": 0}
    assert targets(found, [Span(0, 1, "NN"), Span(2, 3, "XX")], index, words=True).tolist() == [0, -1]


def test_nothing() -> None:
    assert len(units([], [])) == 0
    assert units([(0, 2)], []).word.tolist() == [-1]
