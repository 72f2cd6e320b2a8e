"""The folder of a comparison: whole files, one process, nobody else's files touched."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from maskfork.decide.compare.store import MARKER, Record, Store, content_key
from maskfork.errors import DataError, UsageError


def record(key: str, answered: bool = True) -> Record:
    probs = np.array([[0.25, 0.75], [0.5, 0.5], [1.0, 0.0]], dtype=np.float32)
    return Record(key, probs, np.array([True, answered, True]), 1.5, None, ("A note — 日本.",), {"tokens": 3.0})


def tree(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_record_comes_back_as_it_went(tmp_path: Path) -> None:
    with Store.open(tmp_path / "out", "d.csv", "digest") as store:
        assert store.read("k", (3, 2)) is None
        store.write(record("k", answered=False), {"name": "x"})
        got = store.read("k", (3, 2))
    assert got is not None
    np.testing.assert_array_equal(got.probs, record("k").probs)
    assert got.answered.tolist() == [True, False, True]
    assert (got.fit_seconds, got.validation, got.notes, got.usage) == (1.5, None, ("A note — 日本.",), {"tokens": 3.0})
    assert got.predicted(np.array([1, 1, 0])).tolist() == [1, 0, 0]  # the unanswered row is wrong whatever its label
    assert got.predicted(np.array([1, 0, 0])).tolist() == [1, 1, 0]


@pytest.mark.parametrize("name", ["k.npz", "k.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "garbage", "empty", "other"])
def test_a_damaged_run_counts_as_not_done(tmp_path: Path, name: str, damage: str) -> None:
    with Store.open(tmp_path / "out", "d.csv", "digest") as store:
        store.write(record("k"), {})
        file = store.runs / name
        if damage == "gone":
            file.unlink()
        else:
            raw = file.read_bytes()
            file.write_bytes({"cut": raw[: len(raw) // 2], "garbage": b"\x00garbage" * 9, "empty": b"", "other": b"[]"}[damage])
        assert store.read("k", (3, 2)) is None
        store.write(record("k"), {})
        assert store.read("k", (3, 2)) is not None
        assert store.read("k", (4, 2)) is None  # probabilities of other rows


def test_models_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    with Store.open(tmp_path / "out", "d.csv", "digest") as store:

        def half(folder: Path) -> None:
            (folder / "weights").write_text("half")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.keep_model("k", half)
        assert store.model("k") is None
        folder = store.keep_model("k2", lambda f: (f / "weights").write_text("whole"))
        assert (folder / "weights").read_text() == "whole"
        store.keep_model("k2", half)  # it is there already, so it is not saved again
        store.drop_model("k2")
        store.drop_model("k2")
        assert store.model("k2") is None
    with Store.open(tmp_path / "out", "d.csv", "digest") as store:
        assert list(store.models.iterdir()) == []  # what was cut short is swept away


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    (out / "runs").mkdir(parents=True)
    (out / "thesis.tex").write_text("years of work")
    before = tree(out)
    with pytest.raises(UsageError, match=r"holds other files .* nothing is overwritten"), Store.open(out, "d", "x"):
        pass
    assert tree(out) == before
    file = tmp_path / "file"
    file.write_text("a file")
    with pytest.raises(UsageError, match="is a file"), Store.open(file, "d", "x"):
        pass
    assert file.read_text() == "a file"


def test_the_comparison_of_other_data_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Store.open(out, "reviews.csv", "one"):
        pass
    before = tree(out)
    with pytest.raises(UsageError, match=r"holds the comparison on reviews\.csv"), Store.open(out, "mails.csv", "two"):
        pass
    assert tree(out) == before
    with Store.open(out, "reviews.csv", "two"):  # the same file, edited
        pass
    with Store.open(out, "moved.csv", "two"):  # the same rows, moved
        pass
    (out / MARKER).write_text("{")
    with pytest.raises(DataError, match="cannot be read"), Store.open(out, "moved.csv", "two"):
        pass


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    out = tmp_path / "out"
    script = f"""
        from pathlib import Path
        from maskfork.decide.compare.store import Store
        with Store.open(Path({str(out)!r}), "d", "x"):
            print("held", flush=True)
            input()
    """
    other = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="in use by another comparison"), Store.open(out, "d", "x"):
            pass
    finally:
        other.kill()
        other.wait()
        other.stdin.close()
        other.stdout.close()
    with Store.open(out, "d", "x"):  # a killed process holds no lock
        pass


def test_keys_follow_content_alone() -> None:
    key = content_key(a=1, b={"x": [1, 2], "y": None})
    assert key == content_key(b={"y": None, "x": [1, 2]}, a=1)
    assert key != content_key(a=1, b={"x": [2, 1], "y": None})
    assert len(key) == 40
