"""`maskfork train classify` on few rows says which few-shot way is the better on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskfork.cli import main
from tests.learn.tiny import make, rows


def test_few_rows_are_told_of_a_better_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maskfork.learn.tasks.few_shot.propose.STEPS", 1)
    base = make("bert").save(tmp_path / "base")
    data = rows(30)
    lines = [f"{text}\t{data.label_names[label]}" for text, label in zip(data.texts, data.labels, strict=True)]
    (tmp_path / "few.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    words = ["train", "classify", str(tmp_path / "few.tsv"), "--model", str(base), "-o", str(tmp_path / "out")]
    assert main([*words, "--epochs", "1", "--set", "min_steps=1"]) == 0
    said = capsys.readouterr().err
    assert "rows of 2 labels are few: in 3-fold cross-validation" in said
    assert "`maskfork train few-shot --set way=" in said
