from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from maskfork.errors import DataError
from maskfork.learn.data.columns import find_columns
from maskfork.learn.data.table import Table

LONG = [f"this is review number {i} and it is long enough" for i in range(40)]
OTHER = [f"quite another sentence with words, the {i}th of them" for i in range(40)]
CLASSES = ["a", "b"] * 20


def _table(header: bool = True, **columns: list[object]) -> Table:
    return Table(Path("x.csv"), pl.DataFrame(columns), "csv", "utf-8", header)


@pytest.mark.parametrize(
    ("columns", "text", "pair", "label"),
    [
        ({"text": LONG, "label": CLASSES}, "text", None, "label"),
        ({"id": list(range(40)), "Review": LONG, "Sentiment": CLASSES}, "Review", None, "Sentiment"),
        ({"label": CLASSES, "premise": LONG, "hypothesis": OTHER, "idx": list(range(40))}, "premise", "hypothesis", "label"),
        ({"q": LONG, "kind": CLASSES}, "q", None, "kind"),
        ({"Quality": [0, 1] * 20, "#1 ID": list(range(40)), "#1 String": LONG, "#2 String": OTHER}, "#1 String", "#2 String",
         "Quality"),
        ({"column_1": [3, 4, 1, 2] * 10, "column_2": LONG, "column_3": OTHER}, "column_2", "column_3", "column_1"),
        ({"text": LONG, "label": [0, 1] * 20, "label_text": CLASSES}, "text", None, "label_text"),
        ({"text": [f"你好世界，這是第{i}句話" for i in range(40)], "x": CLASSES}, "text", None, "x"),
        ({"a": [f"คืออะไรกันแน่ครับ{i}" for i in range(40)], "x": CLASSES}, "a", None, "x"),
        ({"review": LONG, "labels": ['["a"]', "[]"] * 20, "probabilities": [f'{{"a": 0.{i}, "b": 0.1}}' for i in range(40)],
          "spans": [f'[{{"start": {i}, "end": 99}}]' for i in range(40)],
          "unlabelled": [None] * 20 + [f"status 400: too rude, no {i}" for i in range(20)]}, "review", None, "labels"),
        ({"text": LONG, "text_2": LONG, "label": CLASSES}, "text", None, "label"),  # a column that stands twice is no pair
        ({"when": [f"2024-03-{i % 28 + 1:02d} 10:00" for i in range(40)], "text": LONG, "label": CLASSES}, "text", None, "label"),
    ],
)  # fmt: skip
def test_columns_are_found(columns: dict[str, list[object]], text: str, pair: str | None, label: str) -> None:
    found = find_columns(_table(**columns))
    assert (found.text, found.pair, found.label) == (text, pair, label)
    assert all(f'"{name}"' in found.why for name in columns)  # what was taken and what was left out, all of it


def test_the_callers_word_counts() -> None:
    table = _table(title=LONG, body=OTHER, label=CLASSES, mood=["x", "y"] * 20)
    assert find_columns(table).pair == "body"
    assert find_columns(table, pair="none").pair is None
    assert find_columns(table, text="body").pair is None
    assert find_columns(table, text="body", pair="title").pair == "title"
    assert find_columns(table, label="mood").label == "mood"
    assert find_columns(table, label="Mood").label == "mood"


def test_a_wrong_name_gets_the_nearest() -> None:
    with pytest.raises(DataError, match='no column "revew" for --text, the nearest is "review"'):
        find_columns(_table(review=LONG, label=CLASSES), text="revew")


def test_a_number_counts_columns_where_there_is_no_header() -> None:
    table = _table(header=False, column_1=LONG, column_2=OTHER, column_3=CLASSES)
    found = find_columns(table, text="2", label="3")
    assert (found.text, found.pair, found.label) == ("column_2", None, "column_3")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"text": LONG, "id": list(range(40))}, "no column that looks like a label"),
        ({"label": CLASSES, "code": ["z", "w"] * 20}, "no column that looks like a text"),
        ({"text": LONG, "land": CLASSES, "mood": ["x", "y"] * 20}, 'the label could be "land", "mood"'),
        ({"a": LONG, "b": [i / 7 for i in range(40)]}, "no column that looks like a label"),
    ],
)
def test_what_cannot_be_told_is_asked(columns: dict[str, list[object]], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        find_columns(_table(**columns))
    assert "--label" in str(caught.value) or "--text" in str(caught.value)


def test_one_column_cannot_be_two_things() -> None:
    with pytest.raises(DataError, match="one column cannot be two"):
        find_columns(_table(text=LONG, label=CLASSES), text="text", label="text")
