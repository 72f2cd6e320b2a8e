"""`maskfork corpus`: built, looked at, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from maskfork.demo.models import decoder_path

SENTENCES = "It was a bright cold day.\nThe clocks were striking.\n\nNobody came.\n"


def build(tmp_path: Path, *more: str) -> list[str]:
    text = tmp_path / "a.txt"
    if not text.exists():
        text.write_text(SENTENCES, "utf-8")
    return ["corpus", "build", str(text), "--tokenizer", str(decoder_path()), "-o", str(tmp_path / "c"), *more]


def test_build_and_info(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(build(tmp_path, "--documents", "line", "--json")) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["documents"] == 3
    assert said["dtype"] == "uint16"
    assert said["settings"]["division"] == "line"
    assert err == "a.txt is a document a line (--documents file or paragraph divides otherwise).\n"
    assert main(["corpus", "info", str(tmp_path / "c"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {k: v for k, v in told.items() if k not in ("folder", "verified")}.items() <= said.items()
    assert main(["corpus", "info", str(tmp_path / "c"), "--verify"]) == 0
    out = capsys.readouterr().out
    assert "3 documents" in out
    assert out.endswith("every byte is as it was written\n")


def test_options_from_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('documents = "paragraph"\nshard-tokens = 5\n', "utf-8")
    assert main(build(tmp_path, "--config", str(tmp_path / "c.toml"), "--json")) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["documents"], said["shards"]) == (2, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["corpus"], "say what to do: maskfork corpus build | info"),
        (["corpus", "biuld"], "did you mean build?"),
        (["corpus", "info", "nowhere"], "nowhere is no corpus: make one with"),
        (["corpus", "build", "nowhere.txt", "-t", str(decoder_path()), "-o", "x"], "No such file or folder: nowhere.txt"),
        (["corpus", "build", "x.txt", "-t", "no-tokenizer", "-o", "x"], "no-tokenizer"),
    ],
)
def test_wrong_words_in_one_sentence(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert said in err


def test_other_settings_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(build(tmp_path)) == 0
    assert "It is one document: hold out its end" in capsys.readouterr().err
    assert main(build(tmp_path, "--documents", "line")) == 2
    assert "was made with division 'file', and now it is 'line'" in capsys.readouterr().err
