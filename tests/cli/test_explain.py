"""`maskfork explain` on folders with and without weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskfork.cli import main
from maskfork.view.explain import mega, rule_words, spans
from tests.view.attention.folders import make


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("mistral", "t5"):
        make(kind, folder / kind)
    (folder / "bare").mkdir()
    (folder / "bare" / "config.json").write_bytes((folder / "mistral" / "config.json").read_bytes())
    return folder


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["explain", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_tables(folders: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert main(["explain", str(folders / "mistral")]) == 0
    out = capsys.readouterr().out
    for said in ("mistral, decoder:", "causal & window(before=3, after=0)", "Rotary", "sdpa #1", "✓ takes it", "bytes a token"):
        assert said in out
    assert "No weights" not in out
    assert main(["explain", str(folders / "t5"), "--packed", "--shape", "2x8"]) == 0
    out = capsys.readouterr().out
    for said in ("encoder: 3 layers", "decoder: 2 layers", "cross varlen #3", "causal + position bias", "packed"):
        assert said in out


def test_a_config_alone_is_enough_and_is_said(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(folders / "bare")]) == 0
    assert "No weights in this folder: the sizes follow from config.json alone." in capsys.readouterr().out
    bare, full = (answer([str(folders / name)], capsys) for name in ("bare", "mistral"))
    assert (bare["has_weights"], full["has_weights"]) == (False, True)
    for key in ("layers", "parameters", "kernels", "stacks"):
        assert bare[key] == full[key]


def test_texts_and_shapes(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer([str(folders / "mistral"), "--text", "the bank", "--text", "the"], capsys)
    assert found["batch"] == "2 texts of 1 to 2 tokens, padded"
    assert answer([str(folders / "mistral"), "--shape", "3x7", "--packed"], capsys)["batch"] == "3 x 7 tokens, packed"


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["mistral", "--shape", "8"], "is no shape"),
        (["mistral", "--shape", "0x8"], "is no shape"),
        (["mistral", "--shape", "99999x99999"], "more than a plan needs"),
        (["mistral", "--text", ""], "no tokens"),
        (["bare", "--text", "x"], "no tokenizer"),
        (["nowhere"], "there is no folder"),
        ([""], "no config.json"),
    ],
)
def test_a_wrong_question_is_one_sentence(
    words: list[str], cause: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(folders / words[0]), *words[1:]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert cause in err
    assert err.count("\n") == 1


def test_words() -> None:
    assert spans([0, 1, 2, 5, 7, 8]) == "0–2, 5, 7–8"
    assert rule_words("Causal() & Window(before=3, after=0)") == "causal & window(before=3, after=0)"
    assert [mega(n) for n in (4608, 90_852_864, 16e9)] == ["4.61 kB", "90.9 MB", "16 GB"]
