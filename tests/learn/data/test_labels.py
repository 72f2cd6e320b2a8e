from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.errors import DataError
from maskfork.learn.data.labels import in_order, refuse_lonely, refuse_non_classes, separator_for, separator_of, spell


@pytest.mark.parametrize(
    ("cells", "labels"),
    [
        ([0, 1, None], ["0", "1", None]),
        ([0.0, 1.0, None], ["0", "1", None]),
        (["0", "1.0", " 0 ", ""], ["0", "1", "0", None]),
        ([True, False], ["true", "false"]),
        (["True", "FALSE"], ["true", "false"]),
        (["v1.0", "v1"], ["v1.0", "v1"]),
        (["1.0", "x"], ["1.0", "x"]),
        (["1.5", "2.0"], ["1.5", "2"]),
        (['["joy"]', "[2]", "[null]", '["a", "b"]', "[]"], ["joy", "2", None, '["a", "b"]', "[]"]),
    ],
)
def test_one_spelling(cells: list[object], labels: list[str | None]) -> None:
    assert spell(cells) == labels


def test_order_is_by_size_for_numbers() -> None:
    assert in_order({"10", "9", "-1"}) == ("-1", "9", "10")
    assert in_order({"b", "10", "a"}) == ("10", "a", "b")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([f"{i / 7:.3f}" for i in range(50)] * 3, "looks like a score"),
        ([str(i * 37) for i in range(60)] * 3, "looks like a measured number"),
        ([f"row{i}" for i in range(50)], "nearly unique"),
        (["4", "27", "4,27"] * 5, "several labels in 33%"),
        (['["a", "b"]', '["a"]'] * 5, "several labels"),
        (["a", "a,"] * 5, 'several labels.*"a,"'),
    ],
)
def test_what_is_no_class_is_refused(labels: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        refuse_non_classes(labels, "y", Path("x.csv"))


@pytest.mark.parametrize(
    "labels",
    [
        ["0", "1"],
        [str(i) for i in range(150)] * 3,
        ["0.5", "1", "1.5"] * 4,
        ["Paris, France", "Rome, Italy"] * 4,
        ["10001", "90210"] * 5,
    ],
)
def test_classes_pass(labels: list[str]) -> None:
    refuse_non_classes(labels, "y", Path("x.csv"))


def test_what_the_user_calls_classes_are_classes() -> None:
    for labels in (["4", "27", "4,27"], [f"{i / 7:.3f}" for i in range(50)], [f"row{i}" for i in range(50)]):
        refuse_non_classes(labels, "y", Path("x.csv"), as_they_stand=True)
    with pytest.raises(DataError, match="several labels, or none, in 67%"):
        refuse_non_classes(['["a", "b"]', "[]", "a"], "y", Path("x.csv"), as_they_stand=True)


def test_few_cells_are_parted_by_the_labels_that_are_known() -> None:
    assert separator_of(["joy|fear", "fear"]) is None
    assert separator_for(["joy|fear", "fear"], ("fear", "joy", "rage")) == "|"
    assert separator_for(["joy|fear", "fear"], ("fear",)) is None


def test_lonely_labels_are_named() -> None:
    with pytest.raises(DataError, match=r'"rare" has one row only.*--drop-rare'):
        refuse_lonely(["a", "a", "b", "b", "rare"], "y", Path("x.csv"))
    with pytest.raises(DataError, match="one class only"):
        refuse_lonely(["a", "a"], "y", Path("x.csv"))


def test_decimal_commas_are_no_lists_of_labels() -> None:
    """Measured numbers of a German spreadsheet: their parts come again, and mean nothing."""
    assert separator_of([f"{i % 5},{i:02d}" for i in range(100)]) is None
    assert separator_of(["4", "27", "4,27"]) == ","
