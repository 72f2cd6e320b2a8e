"""Files to labelled texts: the problem is found in the labels and said; nothing that is judged on is learnt or chosen by."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.learn.data.labels import looks_like_scores, parts_of, separator_of
from maskfork.learn.tasks.classify import TASK
from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled
from maskfork.learn.tasks.classify.read import read_for
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Sources, Split
from tests.learn.tiny import sentences

TEXTS = sentences(300, 4, longest=14)[0]


def write(file: Path, labels: list[Any], texts: list[str] = TEXTS, **more: list[Any]) -> Path:
    rows = [
        {"text": t, "label": y, **{k: v[i] for k, v in more.items()}} for i, (t, y) in enumerate(zip(texts, labels, strict=False))
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", "utf-8")
    return file


def read(file: Path, settings: dict[str, Any] | None = None, **more: Any) -> Split[Labelled]:
    return TASK.read(Sources(file, **more), ClassifySettings(**(settings or {})))


@pytest.mark.parametrize(
    ("labels", "separator"),
    [
        (["a", "b", "c,d"], None),
        (["4", "27", "4,27"], ","),
        (["[1, 2]", "x"], "json"),
        (["a|b", "b|c", "c|a", "a|b|c", "d|a", "d|b", "c|d", "a|d|b", "b|c|d"], "|"),
        (["Paris, France", "Rome, Italy", "Oslo, Norway"], None),
        (["Sci/Tech", "Sports"], None),
    ],
)
def test_several_labels_in_a_cell(labels: list[str], separator: str | None) -> None:
    assert separator_of(labels) == separator


def test_parts_of_a_cell() -> None:
    assert parts_of("a| b |a|", "|") == ("a", "b")
    assert parts_of('["x", 2]', "json") == ("x", "2")
    assert parts_of("[]", "json") == ()
    assert parts_of("x", "json") == ("x",)
    assert looks_like_scores([str(x / 7) for x in range(20)])
    assert not looks_like_scores([str(x) for x in range(20)])


def test_lists_are_several_labels(tmp_path: Path) -> None:
    labels = [["a"], ["a", "b"], ["c"], []] * 75
    split = read(write(tmp_path / "x.jsonl", labels))
    assert split.train.problem == "multi"
    assert split.train.label_names == ("a", "b", "c")
    known = dict(zip(TEXTS, labels, strict=True))
    assert split.test is not None
    for text, row in [
        *zip(split.train.texts, split.train.targets, strict=True),
        *zip(split.test.texts, split.test.targets, strict=True),
    ]:
        assert [n for n, yes in zip("abc", row, strict=True) if yes] == known[text]
    assert "Several labels a text" in split.notes[0]
    assert any("25% of the rows have several, 75 have none" in note for note in split.notes)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_lists_of_one_label_are_one_label_unless_said(tmp_path: Path, ending: str) -> None:
    """As `maskfork label` writes several labels a text where every text has one: alike from files with lists and without."""
    labels = [["a"], ["b"], ["c"]] * 100
    file = tmp_path / f"x.{ending}"
    if ending == "jsonl":
        file.write_text("".join(json.dumps({"text": t, "labels": y}) + "\n" for t, y in zip(TEXTS, labels, strict=True)), "utf-8")
    else:
        file.write_text("text,labels\n" + "".join(f'{t},"[""{y[0]}""]"\n' for t, y in zip(TEXTS, labels, strict=True)), "utf-8")
    split = read(file)
    assert (split.train.problem, split.train.label_names) == ("single", ("a", "b", "c"))
    assert "--set problem=multi" in split.notes[0]
    several = read(file, {"problem": "multi"})
    assert (several.train.problem, several.train.label_names) == ("multi", ("a", "b", "c"))
    assert several.train.targets.sum(1).tolist() == [1] * len(several.train)


def test_each_cell_is_a_label_where_that_is_said(tmp_path: Path) -> None:
    """As the note on several labels offers."""
    file = write(tmp_path / "x.jsonl", ["4", "27", "4,27"] * 100)
    assert "--set problem=single" in read(file).notes[0]
    assert read(file, {"problem": "single"}).train.label_names == ("27", "4", "4,27")


def test_validation_cells_are_parted_as_training_cells(tmp_path: Path) -> None:
    train = write(tmp_path / "x.jsonl", ["a", "b", "a,b", "c"] * 50, TEXTS[:200])
    validation = write(tmp_path / "v.jsonl", ["a,c", "b,c"] * 25, TEXTS[200:250])
    test = write(tmp_path / "t.jsonl", ["a", "b,c"] * 25, TEXTS[250:])
    split = read(train, validation=validation, test=test)
    assert split.validation is not None
    assert split.validation.targets[0].tolist() == [True, False, True]


def test_numbers_are_a_regression_unless_said(tmp_path: Path) -> None:
    values = [round(i % 40 / 7, 3) for i in range(300)]
    file = write(tmp_path / "x.jsonl", values)
    split = read(file)
    assert (split.train.problem, split.train.targets.dtype) == ("regression", np.float64)
    assert split.train.label_names == ("label",)
    known = dict(zip(TEXTS, values, strict=True))
    assert [known[t] for t in split.train.texts] == split.train.targets.tolist()
    assert len(read(file, {"problem": "single"}).train.label_names) == 40
    with pytest.raises(DataError, match="is no number"):
        read(write(tmp_path / "y.jsonl", ["a", "b"] * 150), {"problem": "regression"})


def test_rows_out_of_scope_have_no_label(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", ["a", "b", "oos"] * 100)
    split = read(file, {"out_of_scope": "oos"})
    assert split.train.label_names == ("a", "b")
    known = dict(zip(TEXTS, ["a", "b", "oos"] * 100, strict=True))
    for text, target in zip(split.train.texts, split.train.targets, strict=True):
        assert known[text] == ("oos" if target == NO_LABEL else ("a", "b")[target])
    with pytest.raises(DataError, match=r"no row has the label .*, the nearest is \"oos\""):
        read(file, {"out_of_scope": "ooos"})


def test_nothing_judged_is_learnt_or_chosen_by(tmp_path: Path) -> None:
    """Texts that two files share stay in the one that judges the more."""
    labels = ["a", "b"] * 150
    train = write(tmp_path / "train.jsonl", labels[:200], TEXTS[:200])
    validation = write(tmp_path / "val.jsonl", labels[180:260], TEXTS[180:260])
    test = write(tmp_path / "test.jsonl", labels[240:], TEXTS[240:])
    split = read(train, validation=validation, test=test)
    assert split.validation is not None
    assert split.test is not None
    parts = [set(p.texts) for p in (split.train, split.validation, split.test)]
    assert not parts[0] & (parts[1] | parts[2])
    assert not parts[1] & parts[2]
    assert len(parts[2]) == 60
    assert len(parts[1]) == 60
    assert "60 rows to validate on." in split.notes
    assert any("removed from validation because their text" in n for n in split.notes)
    strange = write(tmp_path / "strange.jsonl", ["a", "z"] * 20, TEXTS[200:240])
    with pytest.raises(DataError, match='holds "z", and the labels that were learnt are'):
        read(train, validation=strange, test=test)


def test_one_file_is_judged_whole(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", ["a", "b", "a"] * 100)
    split = read(file, test=file)
    assert (len(split.train), len(split.test or ())) == (0, 300)


def test_a_label_of_one_row_is_left_out_where_asked(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", [*"ab" * 30, "rare"])
    with pytest.raises(DataError, match="set drop_rare=true"):
        read(file)
    assert read(file, {"drop_rare": True}).train.label_names == ("a", "b")


@pytest.mark.parametrize(
    ("cells", "held"),
    [
        (["joy", "fear", "joy"], [[0, 1, 0], [1, 0, 0], [0, 1, 0]]),
        (["joy|fear", "fear", "joy"], [[1, 1, 0], [1, 0, 0], [0, 1, 0]]),
        (["rage,joy", "rage,joy", "rage,joy"], [[0, 1, 1]] * 3),
        (['["joy"]', "[]", '["rage", "fear"]'], [[0, 1, 0], [0, 0, 0], [1, 0, 1]]),
    ],
)
def test_rows_to_judge_by_are_read_as_the_model_answers(cells: list[str], held: list[list[int]], tmp_path: Path) -> None:
    """Alone the first would be one label a text, the second too, for there are too few cells to tell lists by."""
    file = write(tmp_path / "x.jsonl", cells, TEXTS[:3])
    names = ("fear", "joy", "rage")
    rows = read_for(Sources(file), "multi", names).test
    assert rows is not None
    assert (rows.problem, rows.label_names) == ("multi", names)
    assert rows.targets.astype(int).tolist() == held


def test_numbers_and_names_with_commas_are_read_as_the_model_answers(tmp_path: Path) -> None:
    few = write(tmp_path / "n.jsonl", [1, 2, 2], TEXTS[:3])
    rows = read_for(Sources(few), "regression", ("stars",)).test
    assert rows is not None
    assert rows.targets.tolist() == [1.0, 2.0, 2.0]
    one = write(tmp_path / "o.jsonl", ["a", "a,b", "b"], TEXTS[:3])
    for problem in ("single", "multi"):
        rows = read_for(Sources(one), problem, ("a", "a,b", "b", "c")).test
        assert rows is not None
        assert (rows.targets if problem == "single" else rows.targets.argmax(1)).tolist() == [0, 1, 2]
        assert problem == "single" or rows.targets.sum() == 3
    with pytest.raises(DataError, match='holds "b", and the labels that were learnt are "a", "a,b"'):
        read_for(Sources(one), "single", ("a", "a,b"))


def test_the_label_out_of_scope_fits_none(tmp_path: Path) -> None:
    file = write(tmp_path / "x.jsonl", ["b", "other", "a"], TEXTS[:3])
    rows = read_for(Sources(file), "single", ("a", "b"), "other").test
    assert rows is not None
    assert (rows.targets.tolist(), rows.label_names) == ([1, NO_LABEL, 0], ("a", "b"))
