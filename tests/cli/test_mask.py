"""`maskfork mask`: the drawing says what the rule says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from tokenizers import models, pre_tokenizers, processors

from maskfork.cli import main

WORDS = ["The", "cat", "sat", "down"]
TEXT = " ".join(WORDS)

# Written out by hand from each rule's definition, row by row (✓ as 1).
BY_HAND = {
    "full": "1111 1111 1111 1111",
    "causal": "1000 1100 1110 1111",
    "prefix:2": "1100 1100 1110 1111",
    "window:1": "1100 1110 0111 0011",
    "window:2,0": "1000 1100 1110 0111",
    "causal&window:1": "1000 1100 0110 0011",
    "causal | window:0,1": "1100 1110 1111 1111",
}


def drawn(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    """(the words of the head line, a string of 0 and 1 per row) of one drawing on stdout."""
    head, *rows = capsys.readouterr().out.splitlines()
    return head.split(), ["".join("1" if cell == "✓" else "0" for cell in row.split()[1:]) for row in rows]


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["mask", *words, "--json"]) == 0
    answered: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answered


@pytest.mark.parametrize("rule", BY_HAND)
def test_the_drawing_is_the_rule(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mask", TEXT, "--rule", rule]) == 0
    assert drawn(capsys) == (WORDS, BY_HAND[rule].split())


def test_json_holds_the_same_cells(capsys: pytest.CaptureFixture[str]) -> None:
    said = answer([TEXT, "--rule", "window:2,0"], capsys)
    assert said["rule"] == "Window(before=2, after=0)"
    assert said["tokens"] == WORDS
    assert ["".join(str(int(c)) for c in row) for row in said["allowed"]] == BY_HAND["window:2,0"].split()


def test_the_fork_draws_three_models(capsys: pytest.CaptureFixture[str]) -> None:
    said = answer(["a b", "--fork", "--target", "x y"], capsys)
    cells = {k: ["".join(str(int(c)) for c in row) for row in v["allowed"]] for k, v in said.items() if k != "files"}
    assert cells == {
        "encoder": ["11", "11"],
        "decoder": ["10", "11"],
        # the source reads itself; the target reads the source and its own past
        "encoder-decoder": ["1100", "1100", "1110", "1111"],
    }
    assert said["encoder-decoder"]["tokens"] == ["a", "b", "→x", "→y"]


def test_the_fork_stands_side_by_side_where_it_fits(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["mask", "a b", "--fork"]) == 0
    wide = capsys.readouterr().out.splitlines()
    assert wide[0].split() == ["encoder", "decoder", "encoder-decoder"]
    monkeypatch.setenv("COLUMNS", "30")
    assert main(["mask", "a b", "--fork"]) == 0
    narrow = capsys.readouterr().out.splitlines()
    assert [line for line in narrow if "coder" in line] == ["encoder", "decoder", "encoder-decoder"]
    assert len(narrow) > len(wide)


def test_pictures_and_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    png, html = tmp_path / "m.png", tmp_path / "m.html"
    assert main(["mask", "a <b>", "--png", str(png), "--html", str(html)]) == 0
    out, err = capsys.readouterr()
    assert "✓" in out
    assert str(png) in err
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "&lt;b&gt;" in html.read_text(encoding="utf-8")
    assert main(["mask", "a b", "--fork", "--png", str(png)]) == 0
    assert {p.name for p in tmp_path.glob("m-*.png")} == {"m-encoder.png", "m-decoder.png", "m-encoder-decoder.png"}


def test_a_models_tokens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "cat": 3, "##s": 4}
    inner = tokenizers.Tokenizer(models.WordPiece(words, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.BertProcessing(("[SEP]", 1), ("[CLS]", 0))
    inner.save(str(tmp_path / "tokenizer.json"))
    assert answer(["cats dog", "--tokenizer", str(tmp_path)], capsys)["tokens"] == [
        "[CLS]",
        "cat",
        "##s",
        "[UNK]",
        "[SEP]",
    ]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ([TEXT, "--rule", "casual"], "'casual' is not a mask rule"),
        ([TEXT, "--rule", "window:-1"], "cannot be negative"),
        ([TEXT, "--rule", "prefix:x"], "'prefix:x' is not a mask rule"),
        ([TEXT, "--rule", "causal&"], "is not a mask rule"),
        (["  "], "no tokens"),
        ([TEXT, "--target", "x"], "--fork"),
        ([TEXT, "--tokenizer", "nowhere"], "no tokenizer at nowhere"),
        ([TEXT, "--png", "no/such/folder/m.png"], "cannot be written"),
        ([TEXT, "--html", "no/such/folder/m.html"], "cannot be written"),
    ],
)
def test_a_wrong_question_is_one_sentence(words: list[str], cause: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["mask", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert cause in err
    assert err.count("\n") == 1
