"""`maskfork audit` on the command line: terminal, JSON, page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main

LINES = [f"a good film number {i},pos" if i % 2 else f"a bad film number {i},neg" for i in range(30)]
ROWS = "\n".join(["text,label", *LINES, ""])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "films.csv"
    path.write_text(ROWS + "A good  film number 1,neg\n,pos\n<script>alert(1)</script> &amp; more,neg\n", encoding="utf-8")
    return path


def test_the_terminal_says_what_where_and_what_to_do(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(file)]) == 0
    said = capsys.readouterr().out
    assert "✗ 1 row has no text." in said
    assert "! 1 text stands with more than one label" in said
    assert "→ Decide for one label each" in said
    assert "Not looked for: " in said


def test_json_holds_every_row(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    found = {finding["check"]: finding for finding in report["findings"]}
    assert [hit["row"] for hit in found["duplicates"]["rows"]] == [31]
    assert found["duplicates"]["rows"][0]["of_row"] == 2
    assert report["labels"] == {"neg": 17, "pos": 15 + 1}


def test_the_page_is_whole_and_runs_nothing(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "audit.html"
    assert main(["audit", str(file), "--html", str(page)]) == 0
    written = page.read_text("utf-8")
    assert "<script" not in written
    assert "&lt;script&gt;alert(1)" in written
    assert "default-src &#x27;none&#x27;" in written
    assert main(["audit", str(file), "--html", str(tmp_path / "no" / "page.html")]) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_what_cannot_be(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", str(file), "--label", "labe"]) == 2
    assert 'the nearest is "label"' in capsys.readouterr().err
    assert main(["audit", str(file), "--rows", "-1"]) == 2


def test_a_cleaned_copy_is_written(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "clean.csv"
    assert main(["audit", str(file), "--fix", str(out)]) == 0
    said = capsys.readouterr().err
    assert "30 of 33 rows stay, 3 removed" in said
    assert "1 without a text" in said
    assert len(out.read_text("utf-8").splitlines()) == 31
    assert len(out.with_name("clean.removed.csv").read_text("utf-8").splitlines()) == 4
    assert file.read_text("utf-8").startswith(ROWS)
    assert main(["audit", str(file), "--fix", str(tmp_path / "clean.txt")]) == 2
    assert "must end in" in capsys.readouterr().err


def test_what_is_read_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--fix DATA` once replaced the user's only copy."""
    data = tmp_path / "data.csv"
    data.write_text("text,label\nwarm and kind,a\n,b\n")
    before = data.read_bytes()
    for words in (["audit", data, "--fix", data], ["audit", data, "--html", data], ["dedup", data, "-o", data]):
        assert main([str(word) for word in words]) == 2
        assert "is the file that is read: name another one with" in capsys.readouterr().err
    assert data.read_bytes() == before
