"""`maskfork train` on the command line: how its words become settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from tests.learn.tiny import make, rows


def asked(folder: Path) -> list[str]:
    """A brief training on thirty rows in `folder`."""
    base, data = make("bert").save(folder / "base"), rows(30)
    lines = [f"{text}\t{data.label_names[label]}" for text, label in zip(data.texts, data.labels, strict=True)]
    (folder / "few.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    words = ["train", "classify", str(folder / "few.tsv"), "--model", str(base), "-o", str(folder / "out")]
    return [*words, "--epochs", "1", "--set", "min_steps=1", "--json"]


@pytest.mark.parametrize("words", [["--set", "teacher=none"], ["--teacher", "null", "--adapter", "None"]])
def test_none_is_no_value(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And no model of that name: the Hub is not asked."""
    assert main([*asked(tmp_path), *words]) == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert (settings["teacher"], settings["adapter"]) == (None, None)


def test_the_record_tells_nothing_of_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The rows' file is named by its whole path, and written down from the working folder on."""
    monkeypatch.chdir(tmp_path)
    assert main([*asked(tmp_path), "--set", "calibrate=false"]) == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert (data["train"], data["validation"], data["test"]) == ("few.tsv", None, None)


def test_a_teacher_is_told_by_its_name_and_known_by_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = [*asked(tmp_path), "--set", "calibrate=false"]
    for folder, seed in (("teacher", "1"), ("other", "2")):
        assert main([*(folder if word == str(tmp_path / "out") else word for word in words), "--seed", seed]) == 0
    taught = [*words, "--teacher", str(tmp_path / "teacher")]
    capsys.readouterr()
    assert main(taught) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["teacher"] == "teacher"
    assert str(tmp_path) not in json.dumps(json.loads((tmp_path / "out" / "train.json").read_text())["identity"])
    assert main(taught) == 0
    (tmp_path / "teacher").rename("gone")
    (tmp_path / "other").rename("teacher")
    assert main(taught) == 2
    assert "holds a training on other data or settings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classify", "--adapter", "lorra"], "did you mean lora?"),
        (["classify", "--adapter", "lora:rnk=3"], "has no setting 'rnk'"),
        (["classify", "--adapter", "prefix", "--set", "merge=true"], "virtual tokens"),
        (["classify", "--on-long", "cut"], "--on-long"),
        (["classify", "--precision", "fp8"], "--precision"),
        (["classify", "--set", "problem=three"], "problem is one of auto"),
        (["choose", "--on-long", "chunk"], "on_long is error, truncate or head+tail"),
        (["embed", "--set", "pooling=middle"], "pooling is one of"),
        (["few-shot", "--teacher", "BASE"], "teacher has no place"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_read(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is not there, and that is not what is said."""
    base = make("bert").save(tmp_path / "base")
    task, *options = [str(base) if word == "BASE" else word for word in words]
    assert main(["train", task, str(tmp_path / "none.csv"), "--model", str(base), "-o", str(tmp_path / "out"), *options]) != 0
    assert said in capsys.readouterr().err


def test_a_setting_that_is_not_searched_is_refused_before_anything_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = make("bert").save(tmp_path / "base")
    words = ["tune", str(tmp_path / "none.csv"), "--model", str(base), "-o", str(tmp_path / "out"), "--over", "epochs,rank"]
    assert main(words) != 0
    assert "'rank' is not searched" in capsys.readouterr().err
