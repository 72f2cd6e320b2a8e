"""What was asked in parts is one outcome, each row at its place."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from maskfork.prompt.teachers.messages import Usage
from maskfork.prompt.teachers.outcome import Answers, Outcome
from maskfork.prompt.teachers.parts import among, joined
from maskfork.prompt.teachers.teacher import Labels

SEVERAL = Answers(
    kind="labels",
    names=("a", "b"),
    rows=({"labels": ["a"], "confidence": 0.5}, None),
    errors=(None, "no form"),
    latencies_ms=np.array([3.0, 4.0]),
    costs=np.array([0.25, 0.5]),
    usage=Usage(10, 1),
    spent=0.5,
    notes=("slow", "dear"),
)
ONE = Labels(
    names=("a", "b"),
    labels=np.array([1, -1]),
    probs=np.array([[0.1, 0.9], [0.5, 0.5]]),
    agreement=np.array([1.0, np.nan]),
    errors=(None, "no label"),
    latencies_ms=np.array([3.0, 4.0]),
    costs=np.array([0.25, 0.5]),
    usage=Usage(10, 1),
    spent=0.5,
    notes=("slow", "dear"),
)


@pytest.mark.parametrize("first", [ONE, SEVERAL], ids=["labels", "answers"])
def test_rows_are_joined_and_stand_at_their_places(first: Outcome) -> None:
    second = dataclasses.replace(first, usage=None, spent=None, notes=("dear", "late"), stopped="the highest cost")
    both = joined([first, second])
    assert both.errors == first.errors * 2
    assert both.labelled.tolist() == [True, False] * 2
    assert (both.usage, both.spent, both.cost) == (Usage(10, 1), 0.5, 1.5)
    assert both.notes == ("slow", "dear", "late")
    assert both.stopped == "the highest cost"
    found = among(both, np.array([4, 0, 5, 2]), 6, "blank")
    assert found.labelled.tolist() == [False, False, False, False, True, True]
    assert found.errors == (first.errors[1], "blank", first.errors[1], "blank", None, None)
    assert found.latencies_ms == pytest.approx([4.0, np.nan, 4.0, np.nan, 3.0, 3.0], nan_ok=True)
    assert found.confidence == pytest.approx([0.0, 0.0, 0.0, 0.0, *both.confidence[[0, 2]]])
    assert found.counts == both.counts
    assert found.cost == both.cost
    assert (found.usage, found.notes, found.stopped) == (both.usage, both.notes, both.stopped)


def test_of_a_label_that_was_not_asked_nothing_is_known() -> None:
    found = among(ONE, np.array([2, 1]), 3, "blank")
    assert found.labels.tolist() == [-1, -1, 1]
    assert found.probs.tolist() == [[0.5, 0.5], [0.5, 0.5], [0.1, 0.9]]
    assert found.agreement == pytest.approx([np.nan, np.nan, 1.0], nan_ok=True)


def test_one_part_without_prices_leaves_all_without() -> None:
    assert joined([ONE, dataclasses.replace(ONE, costs=None)]).cost is None
    assert among(dataclasses.replace(ONE, costs=None), np.array([0, 1]), 3, "blank").costs is None
