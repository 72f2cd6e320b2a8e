"""`maskfork objective`: what is printed, what is lent to a tokenizer, wrong questions in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from maskfork.learn.objectives.names import OBJECTIVES
from tests.learn.tiny import tokenizer

TEXT = "The movie was dark but the ending was bright"


@pytest.mark.parametrize("name", [name for name in OBJECTIVES if name != "distill"])
def test_every_objective_shows_one_text_or_a_few(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"nsp": [f"{TEXT}. We stayed.", "It rained. Shares fell."], "contrastive": [TEXT, "A dark film"]}.get(name, [TEXT])
    assert main(["objective", "show", name, *texts, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["needs"] == OBJECTIVES[name].needs
    assert said["sequences"]
    assert "comes with maskfork" in said["tokenizer"]


def test_the_same_seed_the_same_picture(capsys: pytest.CaptureFixture[str]) -> None:
    pictures = []
    for seed in ("1", "1", "2"):
        assert main(["objective", "show", "clm", TEXT, "--seed", seed]) == 0
        assert main(["objective", "show", "denoise", TEXT, "--seed", seed, "--set", "rate=0.5", "--set", "noises=masking"]) == 0
        pictures.append(capsys.readouterr().out)
    assert pictures[0] == pictures[1] != pictures[2]
    assert "<mask>" in pictures[0]


def test_a_tokenizer_of_ones_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tokenizer("bert").save(tmp_path)
    assert main(["objective", "show", "mlm", "a bright film", "--tokenizer", str(tmp_path), "--set", "random=0"]) == 0
    out = capsys.readouterr()
    assert f"tokenizer: {tmp_path}" in out.err
    assert "[CLS]" in out.out
    assert main(["objective", "show", "span-corruption", "a film", "--tokenizer", str(tmp_path)]) == 2
    assert "this tokenizer" in capsys.readouterr().err


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["objective", "list"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in OBJECTIVES)
    assert main(["objective", "list", "mlm"]) == 0
    assert "rate             0.15" in capsys.readouterr().out
    assert main(["objective", "list", "denoise", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["settings"]["noises"] == ["permutation", "infilling"]
    assert main(["objective", "list", "--json"]) == 0
    assert {e["name"] for e in json.loads(capsys.readouterr().out)} == set(OBJECTIVES)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["show", "mlm"], "give a text"),
        (["show", "mln", TEXT], "did you mean mlm?"),
        (["show", "mlm", TEXT, "--set", "rate"], "as rate=0.3, not 'rate'"),
        (["show", "mlm", TEXT, "--set", "rate=2"], "a share between 0 and 1"),
        (["show", "nsp", TEXT], "this batch holds only one: give several"),
        (["show", "mlm", TEXT, "--tokenizer", "nowhere"], "there is no tokenizer at nowhere"),
        (["list", "mlm", TEXT], "takes no text"),
    ],
)
def test_wrong_questions(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["objective", *words]) == 2
    assert told in " ".join(capsys.readouterr().err.split())
