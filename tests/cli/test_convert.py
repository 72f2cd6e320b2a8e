"""`maskfork convert`: what it prints, and wrong questions, which leave nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from maskfork.cli import main
from tests.learn.tiny import make


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make("bert", "masked_lm").save(tmp_path / "model")


def run(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = main(["convert", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_line_for_people(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, model, tmp_path / "out", "--shard-size", "30KB", "--dtype", "bfloat16")
    assert (code, err) == (0, "")
    assert out.startswith(f"{model} (safetensors) -> {tmp_path / 'out'} (safetensors)\n")
    assert "numbers of bfloat16" in out
    assert out.count("\n") == 2
    (model / "tf_model.h5").write_text("x")
    assert "what does not belong to the model stays behind: tf_model.h5" in run(capsys, model, tmp_path / "b")[2]


def test_json(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, model, tmp_path / "out", "--to", "pickle", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["files"] == ["pytorch_model.bin"]
    assert (found["source_format"], found["target_format"]) == ("safetensors", "pickle")
    assert found["dtypes"] == {"float32": found["tensors"]}
    assert set(found["copied"]) == {"config.json", "tokenizer.json", "tokenizer_config.json"}


WRONG = {
    "no such folder": (["./none", "out"], "there is no folder"),
    "no weights": (["empty", "out"], "has no config.json"),
    "something is there": (["model", "model2"], "already there"),
    "no checkpoint": (["model", "home", "--force"], "no checkpoint folder"),
    "no parent": (["model", "a/b/out"], "make it first"),
    "onto itself": (["model", "model", "--force"], "lie in one another"),
    "into itself": (["model", "model/out"], "lie in one another"),
    "around itself": (["model/inner", "model", "--force"], "lie in one another"),
    "a size without a unit": (["model", "out", "--shard-size", "5"], "number with its unit"),
    "no size": (["model", "out", "--shard-size", "0GB"], "above zero"),
    "another type": (["model", "out", "--dtype", "int8"], "int8"),
    "another format": (["model", "out", "--to", "gguf"], "gguf"),
    "a file for a folder": (["model", "out.safetensors"], "name the folder"),
    "a folder for a file": (["model", "model2", "--to", "llama2c"], "is a file: name one"),
    "shards of one file": (["model", "out.bin", "--shard-size", "1GB"], "leave out --shard-size"),
    "half of one file": (["model", "out.bin", "--dtype", "float16"], "leave out --dtype"),
    "a BERT for llama2.c": (["model", "out.bin"], "model_type is llama, and this model's is bert"),
    "a pickle by its file": (["old.bin", "out"], "give the folder that it lies in"),
    "a tokenizer for a folder": (["model", "out", "--tokenizer", "old.bin"], "is for a llama2.c file"),
    "cut short": (["short", "out"], "broken"),
    "a shard is missing": (["lacking", "out"], "lacks model-00002-of-00002.safetensors"),
    "quantised": (["quantised", "out", "--dtype", "float16"], "are quantised"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_questions(
    name: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for other in ("model2", "short", "lacking", "quantised"):
        make("bert", "masked_lm").save(tmp_path / other)
    for folder in (tmp_path / "empty", tmp_path / "home", model / "inner"):
        folder.mkdir()
    (tmp_path / "home/letters.txt").write_text("x")
    (model / "inner/config.json").write_text("{}")
    torch.save({"x": torch.zeros(3)}, tmp_path / "old.bin")
    weights = tmp_path / "short/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    (tmp_path / "lacking/model.safetensors").rename(tmp_path / "lacking/model-00001-of-00002.safetensors")
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (tmp_path / "lacking/model.safetensors.index.json").write_text(json.dumps(index))
    config = json.loads((tmp_path / "quantised/config.json").read_text("utf-8"))
    (tmp_path / "quantised/config.json").write_text(json.dumps({**config, "quantization_config": {"bits": 4}}))
    before = {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")}
    words, why = WRONG[name]
    code, out, err = run(capsys, *words)
    assert (code, out) == (2, "")
    assert why in err
    assert err.count("\n") == 1
    assert {p: p.read_bytes() if p.is_file() else None for p in tmp_path.rglob("*")} == before
