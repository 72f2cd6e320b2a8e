"""Opening weights: what is read first, indexes that lie, models of the Hub from before safetensors, full disks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from maskfork import load
from maskfork.errors import ModelError
from maskfork.models.formats import write
from maskfork.models.formats.convert import convert
from maskfork.models.formats.tensors import has_tensors, open_tensors, read_weights
from tests.learn.tiny import make


def test_safetensors_come_before_pickles(tmp_path: Path) -> None:
    assert not has_tensors(tmp_path)
    with pytest.raises(ModelError, match="no model"):
        read_weights(tmp_path)
    torch.save({"x": torch.zeros(1)}, tmp_path / "pytorch_model.bin")
    assert (open_tensors(tmp_path).kind, open_tensors(tmp_path).names) == ("a pickle", ("x",))
    save_file({"y": torch.zeros(1)}, str(tmp_path / "model.safetensors"))
    assert (open_tensors(tmp_path).kind, open_tensors(tmp_path).names) == ("safetensors", ("y",))
    assert has_tensors(tmp_path)


def test_weights_of_others_are_named(tmp_path: Path) -> None:
    """What people give for a model: a pointer that git left, an export, TensorFlow's weights."""
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match=r"only onnx/model\.onnx, an export for ONNX Runtime"):
        read_weights(tmp_path)
    (tmp_path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n")
    with pytest.raises(ModelError, match="pointer of Git LFS"):
        read_weights(tmp_path)
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match="export for another runtime"):
        load(tmp_path / "model.gguf")


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": 3}', '{"weight_map": {"x": "a.bin"}}'])
def test_broken_indexes(index: str, tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin.index.json").write_text(index)
    with pytest.raises(ModelError, match=r"are broken|lacks a\.bin"):
        read_weights(tmp_path)


def test_an_index_does_not_lead_outside(tmp_path: Path) -> None:
    inside = tmp_path / "model"
    inside.mkdir()
    save_file({"x": torch.zeros(1)}, str(tmp_path / "secret.safetensors"))
    (inside / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"x": "../secret.safetensors"}}))
    with pytest.raises(ModelError, match=r"lacks secret\.safetensors"):
        read_weights(inside)


def test_an_index_that_names_what_its_shard_lacks(tmp_path: Path) -> None:
    for base, end in (("model", "safetensors"), ("pytorch_model", "bin")):
        folder = tmp_path / base
        folder.mkdir()
        shard = folder / f"{base}-00001-of-00001.{end}"
        if end == "bin":
            torch.save({"x": torch.zeros(1)}, shard)
        else:
            save_file({"x": torch.zeros(1)}, str(shard))
        (folder / f"{base}.{end}.index.json").write_text(json.dumps({"weight_map": {"x": shard.name, "y": shard.name}}))
        with pytest.raises(ModelError, match="are broken"):
            read_weights(folder)


def test_a_model_of_the_hub_from_before_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pickle is fetched only where there is nothing better."""
    asked: list[list[str]] = []

    def fetch(where: str, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        return str(tmp_path / where.rpartition("/")[2])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    new, old = make("bert").save(tmp_path / "new"), make("bert").save(tmp_path / "old")
    load("some/new")
    assert [any("pytorch_model" in p for p in patterns if "/" not in p) for patterns in asked] == [False]
    torch.save(read_weights(old), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    model = load("some/old")
    assert [any("pytorch_model" in p for p in patterns if "/" not in p) for patterns in asked] == [False, False, True]
    assert torch.equal(model.body.tokens.weight, load(new).body.tokens.weight)


@pytest.mark.parametrize("error", [SafetensorError("No space left on device"), OSError(28, "No space left on device")])
def test_a_full_disk(error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise error

    make("bert").save(tmp_path / "in")
    monkeypatch.setattr(write, "save_tensors", full)
    with pytest.raises(ModelError, match=r"cannot be written .*No space left"):
        convert(tmp_path / "in", tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["in"]
