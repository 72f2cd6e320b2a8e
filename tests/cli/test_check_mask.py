"""`maskfork check-mask`: the verdict is the exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from maskfork.models.hub import build

GPT = dict(model_type="gpt2", vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=40)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model without a tokenizer."""
    return build(GPT, "causal_lm", seed=1).save(tmp_path / "model")


def test_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-mask", str(folder)]) == 0
    assert "Kept: whatever the rules let through arrives" in capsys.readouterr().out
    assert main(["check-mask", str(folder), "--packed", "--mask", "window:1", "--kernel", "reference", "--length", "7"]) == 0
    assert "window(before=1, after=1)" in capsys.readouterr().out


def test_not_kept(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-mask", str(folder), "--mask", "full", "--promise", "causal", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["kept"] is False
    assert report["family"] == "gpt2"
    assert {f["name"] for f in report["findings"]} == {"decoder", "decoder layer 0", "decoder layer 1"}
    assert all(f["leaks"] > 0 and f["lost"] == 0 for f in report["findings"])
    assert all(0 < len(f["differences"]) <= 20 for f in report["findings"])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--text", "a"], "no tokenizer"),
        (["--text", "a", "--length", "3"], "give --text or --length"),
        (["--changes", "0"], "one or more"),
        (["--mask", "sideways"], "is not a mask rule"),
        (["--kernel", "magic"], "magic"),
    ],
)
def test_wrong_questions(words: list[str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-mask", str(folder), *words]) == 2
    assert says in capsys.readouterr().err
