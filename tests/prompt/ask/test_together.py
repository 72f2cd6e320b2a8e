"""Several answers as one: what is kept, how sure it is, and how far the answers agree."""

from __future__ import annotations

from typing import Any

import pytest

from maskfork.prompt.ask.together import together


def span(start: int, label: str = "who") -> dict[str, Any]:
    return {"start": start, "end": start + 3, "text": "Ann", "label": label, "confidence": 0.9}


def spans(*starts: int, label: str = "who") -> dict[str, Any]:
    return {"spans": [span(start, label) for start in starts], "confidence": 0.9, "invented": 1, "tokens_lost": len(starts)}


def test_a_single_answer_stays_as_it_is() -> None:
    assert together([spans(0, 4)], ["who"]) == spans(0, 4)


def test_spans_of_half_of_the_answers_are_kept() -> None:
    made = together([spans(0, 4), spans(0), spans(0, 4), spans()], ["who"])
    assert [(one["start"], one["confidence"]) for one in made["spans"]] == [(0, 0.75), (4, 0.5)]
    assert (made["confidence"], made["invented"], made["tokens_lost"]) == (0.5, 4, 2)
    assert made["agreement"] == pytest.approx((1 + 2 / 3 + 1 + 0) / 4, abs=1e-6)


def test_spans_of_other_labels_are_others_and_none_is_an_answer() -> None:
    made = together([spans(0), spans(0, label="where"), spans()], ["who", "where"])
    assert (made["spans"], made["confidence"]) == ([], round(1 / 3, 6))
    assert made["agreement"] == pytest.approx(1 / 3, abs=1e-6)


def test_labels_by_votes_and_by_mean_probability() -> None:
    votes = together([{"labels": ["a"]}, {"labels": ["a", "b"]}, {"labels": []}], ["a", "b", "c"])
    assert votes["labels"] == ["a"]
    assert votes["probabilities"] == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0.0}, abs=1e-6)
    assert votes["confidence"] == pytest.approx(2 / 3, abs=1e-6)
    assert votes["agreement"] == pytest.approx((1 + 1 / 2 + 0) / 3, abs=1e-6)
    told = [{"labels": ["a"], "probabilities": {"a": 0.9, "b": 0.4}}, {"labels": [], "probabilities": {"a": 0.3, "b": 0.2}}]
    made = together(told, ["a", "b"])
    assert (made["labels"], made["probabilities"], made["confidence"]) == (["a"], {"a": 0.6, "b": 0.3}, 0.6)
    assert made["agreement"] == 0.5


def test_json_is_equal_or_not_whatever_the_order_of_its_keys() -> None:
    rows = [{"answer": one, "found": {}, "confidence": 0.3} for one in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 1})]
    made = together(rows, ())
    assert made["answer"] == {"a": 1, "b": 2}
    assert made["confidence"] == made["agreement"] == pytest.approx(2 / 3, abs=1e-6)
