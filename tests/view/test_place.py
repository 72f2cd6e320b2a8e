"""Paths in what is sent on."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.demo import reviews_path
from maskfork.view.place import shown


def test_a_path_tells_nothing_of_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shown(str(tmp_path / "data" / "a.csv")) == shown("data/a.csv") == "data/a.csv"
    assert shown("./a.csv") == "a.csv"
    assert shown(str(reviews_path())) == "maskfork/demo/reviews.csv"


def test_what_was_typed_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shown("../a.csv") == "../a.csv"
    assert shown(str(tmp_path / "a.csv")) == str(tmp_path / "a.csv")
