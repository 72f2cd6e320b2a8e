"""Few rows on the command line: what `maskfork train classify` says of them, and a few-shot folder that is evaluated."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from tests.learn.tiny import make, rows, sentences


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


def test_a_few_shot_folder_is_evaluated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All rows of the file are judged, by the labels' names; a label that the model does not know counts as wrong."""
    base = make("bert").save(tmp_path / "base")
    texts, labels = sentences(40, 2)
    file = tmp_path / "few.csv"
    named = [f'"{text}",{("bad", "good")[label]}' for text, label in zip(texts, labels, strict=True)]
    file.write_text("\n".join(["text,label", *named]) + "\n", "utf-8")
    out = tmp_path / "out"
    main(["train", "few-shot", str(file), "--model", str(base), "-o", str(out), "--set", "way=probe", "--on-long", "chunk"])
    other = tmp_path / "new.csv"
    other.write_text("\n".join(["text,label", *named[:10], '"a film",ugly', '"the plot",ugly']) + "\n", "utf-8")
    capsys.readouterr()
    assert main(["evaluate", str(out), str(other), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)[str(out)]
    assert (said["task"], said["rows"]) == ("few-shot", 12)
    assert said["values"]["accuracy"]["value"] <= 10 / 12
    assert "does not know" in said["notes"][0]
