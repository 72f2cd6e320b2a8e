"""`maskfork train` on the command line: how its words become settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from tests.learn.tiny import make, rows


@pytest.mark.parametrize("words", [["--set", "teacher=none"], ["--teacher", "null", "--adapter", "None"]])
def test_none_is_no_value(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no model of that name: the Hub is not asked."""
    base, data = make("bert").save(tmp_path / "base"), rows(30)
    lines = [f"{text}\t{data.label_names[label]}" for text, label in zip(data.texts, data.labels, strict=True)]
    (tmp_path / "few.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    asked = ["train", "classify", str(tmp_path / "few.tsv"), "--model", str(base), "-o", str(tmp_path / "out"), *words]
    assert main([*asked, "--epochs", "1", "--set", "min_steps=1", "--json"]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert (settings["teacher"], settings["adapter"]) == (None, None)
