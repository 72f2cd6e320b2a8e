from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.learn.data.dataset import load_dataset
from maskfork.learn.data.rows import Rows

WORDS = (
    *("red", "blue", "green", "slow", "fast", "warm", "cold", "old", "new", "small"),
    *("large", "kind", "harsh", "plain", "odd", "calm", "loud", "thin", "deep", "soft"),
)


def _texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=12).tolist()) + f" number {seed} {i}" for i in range(count)]


def _write(path: Path, rows: list[tuple[str, ...]], header: str = "text,label") -> Path:
    path.write_text(header + "\n" + "".join(",".join(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _labelled(count: int, seed: int = 0, classes: str = "ab") -> list[tuple[str, ...]]:
    return [(text, classes[i % len(classes)]) for i, text in enumerate(_texts(count, seed))]


def test_a_plain_file(tmp_path: Path) -> None:
    rows = _labelled(1000)
    data = load_dataset(_write(tmp_path / "x.csv", rows))
    assert (len(data.train), len(data.test), data.report.split) == (800, 200, "stratified")
    assert data.train.label_names == data.test.label_names == ("a", "b")
    for part in (data.train, data.test):
        for text, label, row in zip(part.texts, part.labels, part.row_ids, strict=True):
            assert rows[row] == (text, part.label_names[label])
    assert not set(data.train.row_ids) & set(data.test.row_ids)
    assert data.report.labels == {"a": 500, "b": 500}
    assert (data.report.rows, data.report.dropped) == (1000, 0)


def test_small_files_get_a_test_set_and_keep_most_rows(tmp_path: Path) -> None:
    data = load_dataset(_write(tmp_path / "x.csv", _labelled(60)))
    assert (len(data.train), len(data.test)) == (36, 24)
    assert any("wide intervals" in note for note in data.report.notes)


def test_the_same_seed_gives_the_same_digest(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.csv", _labelled(300))
    one, two, three = load_dataset(path), load_dataset(path), load_dataset(path, seed=1)
    assert one.train.digest() == two.train.digest()
    assert one.test.digest() == two.test.digest() != three.test.digest()


def test_the_digest_is_of_content() -> None:
    def rows(texts: tuple[str, ...], pairs: tuple[str, ...] | None = None, labels: tuple[int, ...] = (0, 1)) -> str:
        return Rows(texts, pairs, np.array(labels), ("a", "b"), np.arange(2)).digest()

    digests = {rows(("x", "y")), rows(("xy", "")), rows(("x", "y"), ("", "")), rows(("x", "y"), labels=(1, 0)), rows(("y", "x"))}
    assert len(digests) == 5
    assert rows(("x", "y")) == rows(("x", "y"))


def test_planted_leaks_are_removed_from_train_and_counted(tmp_path: Path) -> None:
    train, test = _labelled(200), _labelled(50, seed=1)
    train[10] = (test[0][0].upper() + "  ", test[0][1])  # exact after normalising
    train[11] = (test[1][0] + " more", test[1][1])  # near
    train[12] = train[13] = (train[12][0], "a")  # twice within train
    test[30] = test[31]  # twice within test
    train[14] = (train[15][0], "b" if train[15][1] == "a" else "a")  # two labels
    data = load_dataset(_write(tmp_path / "train.csv", train), test_path=_write(tmp_path / "test.csv", test))
    report = data.report
    assert (report.leaked, report.near_leaked, report.duplicates_train, report.duplicates_test) == (1, 1, 1, 1)
    assert report.conflicts == 1
    assert report.duplicates == 4
    assert (report.train, report.test) == (len(data.train), len(data.test)) == (197, 50)
    assert not {10, 11} & set(data.train.row_ids.tolist())
    assert len(report.notes) >= 6
    assert all(note.endswith(".") for note in report.notes)


def test_an_own_split_leaks_nothing(tmp_path: Path) -> None:
    rows = _labelled(150)
    rows += [(text + " more", label) for text, label in rows[:80]] + rows[:40]
    data = load_dataset(_write(tmp_path / "x.csv", rows), seed=4)
    assert data.report.leaked == data.report.near_leaked == 0
    roots = [
        {row if row < 150 else row - 150 if row < 230 else row - 230 for row in p.row_ids.tolist()}
        for p in (data.train, data.test)
    ]
    assert not roots[0] & roots[1]
    assert data.report.duplicates == 40


def test_label_types_unify_between_files(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(
        "".join(json.dumps({"text": t, "label": i % 2}) + "\n" for i, t in enumerate(_texts(60)))
    )
    (tmp_path / "test.jsonl").write_text(
        "".join(json.dumps({"text": t, "label": f"{i % 2}.0"}) + "\n" for i, t in enumerate(_texts(20, 1)))
    )
    data = load_dataset(tmp_path / "train.jsonl", test_path=tmp_path / "test.jsonl")
    assert data.test.label_names == ("0", "1")
    assert np.bincount(data.test.labels).tolist() == [10, 10]


def test_labels_that_train_does_not_know_are_refused(tmp_path: Path) -> None:
    train = _write(tmp_path / "train.csv", _labelled(60))
    test = _write(tmp_path / "test.csv", _labelled(30, 1, "abc"))
    with pytest.raises(DataError, match=r'test\.csv holds the label "c" in 10 test rows'):
        load_dataset(train, test_path=test)


def test_groups_stay_together(tmp_path: Path) -> None:
    rows = [(text, label, f"user{i % 37}") for i, (text, label) in enumerate(_labelled(400))]
    data = load_dataset(_write(tmp_path / "x.csv", rows, "text,label,user"), group="user")
    assert data.report.split == "group"
    assert data.train.groups is not None
    assert data.test.groups is not None
    assert not set(data.train.groups) & set(data.test.groups)


def test_time_puts_the_latest_rows_into_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = rng.permutation(np.arange(500))
    rows = [
        (t, x, f"{2000 + d // 28 // 12}-{d // 28 % 12 + 1:02d}-{d % 28 + 1:02d}")
        for (t, x), d in zip(_labelled(500), days, strict=True)
    ]
    data = load_dataset(_write(tmp_path / "x.csv", rows, "text,label,day"), time="day")
    assert data.report.split == "time"
    assert days[data.train.row_ids].max() < days[data.test.row_ids].min()
    assert len(data.test) == 100


def test_group_and_time_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--group and --time"):
        load_dataset(tmp_path / "x.csv", group="a", time="b")


def test_a_split_column_is_obeyed(tmp_path: Path) -> None:
    rows = [(*row, "test" if i % 5 == 0 else "validation" if i % 5 == 1 else "train") for i, row in enumerate(_labelled(200))]
    data = load_dataset(_write(tmp_path / "x.csv", rows, "text,label,split"))
    assert data.report.split == "column"
    assert (data.test.row_ids % 5 == 0).all()
    assert (len(data.train), len(data.test), data.report.dropped) == (120, 40, 40)
    assert any('"validation" (40 rows)' in note for note in data.report.notes)


def test_empty_texts_and_labels_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = _labelled(100)
    rows[3], rows[4], rows[5] = ("", "a"), ("   ", "b"), (rows[5][0], "")
    data = load_dataset(_write(tmp_path / "x.csv", rows))
    assert data.report.dropped == 3
    assert len(data.train) + len(data.test) == 97
    assert any("2 rows have no text" in note for note in data.report.notes)
    assert any("1 row has no label" in note for note in data.report.notes)
    assert not {3, 4, 5} & {*data.train.row_ids.tolist(), *data.test.row_ids.tolist()}


def test_drop_rare(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.csv", [*_labelled(100), ("a text of its own", "rare")])
    with pytest.raises(DataError, match='"rare" has one row only'):
        load_dataset(path)
    data = load_dataset(path, drop_rare=True)
    assert data.train.label_names == ("a", "b")
    assert data.report.dropped == 1
    assert any("--drop-rare" in note and '"rare"' in note for note in data.report.notes)


def test_pairs(tmp_path: Path) -> None:
    rows = [(a, b, label) for (a, label), b in zip(_labelled(120), _texts(120, 2), strict=True)]
    data = load_dataset(_write(tmp_path / "x.csv", rows, "premise,hypothesis,label"))
    assert data.train.pairs is not None
    assert all(rows[r][:2] == (t, p) for r, t, p in zip(data.train.row_ids, data.train.texts, data.train.pairs, strict=True))
    assert load_dataset(tmp_path / "x.csv", pair="none").train.pairs is None


def test_rows_take() -> None:
    rows = Rows(("a", "b", "c"), ("x", "y", "z"), np.array([0, 1, 0]), ("n", "p"), np.array([5, 6, 7]), ("g", "h", "i"))
    taken = rows.take([2, 0])
    assert (taken.texts, taken.pairs, taken.groups) == (("c", "a"), ("z", "x"), ("i", "g"))
    assert taken.labels.tolist() == [0, 0]
    assert taken.row_ids.tolist() == [7, 5]
    assert taken.counts() == {"n": 2, "p": 0}
    with pytest.raises(ValueError, match="different lengths"):
        Rows(("a",), None, np.array([0, 1]), ("n",), np.array([0]))
