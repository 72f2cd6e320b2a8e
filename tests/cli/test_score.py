"""`maskfork score` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main


def test_label_lines_against_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "90")
    Path("gold.txt").write_text("pos\nneg\n" * 40)
    Path("one.txt").write_text("pos\nneg\n" * 38 + "neg\npos\n" * 2)
    Path("two.txt").write_text("pos\npos\n" * 40)
    assert main(["score", "classify", "gold.txt", "one.txt", "--against", "two.txt"]) == 0
    said = capsys.readouterr()
    assert "95.00 (" in said.out
    assert "+45.0 (+" in said.out
    assert "higher" in said.out
    assert "Intervals (95 %) draw the 80 rows again" in said.err
    assert main(["score", "classify", "gold.txt", "one.txt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"]["accuracy"]["value"] == 0.95
    assert found["differences"] is None


def test_an_option_of_another_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["score", "rank", str(tmp_path / "a"), str(tmp_path / "b"), "--scheme", "IOB2"]) == 2
    assert "--scheme says nothing of rank" in capsys.readouterr().err
    assert main(["score", "classify", str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "No such file" in capsys.readouterr().err
