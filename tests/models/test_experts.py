"""Folders with experts: numbered one by one there, stacked here; what is missing or too much is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskfork import load
from maskfork.errors import ModelError
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.weights import Fuse, Stack, Table, rule


def test_a_stack_there_and_back() -> None:
    table = Table(
        (rule(["l.{i}.e.{j}.a", "l.{i}.e.{j}.b"], "x.{i}.up", Stack(3, Fuse((2, 1)))), rule("l.{i}.e.{j}.c", "x.{i}.c", Stack(3)))
    )
    theirs = {f"l.{i}.e.{j}.{p}": torch.randn(2 if p == "a" else 1, 4) for i in range(2) for j in range(3) for p in "abc"}
    ours, left = table.read(dict(reversed(theirs.items())))
    assert left == []
    assert {n: t.shape for n, t in ours.items()} == {
        "x.0.up": (3, 3, 4),
        "x.1.up": (3, 3, 4),
        "x.0.c": (3, 1, 4),
        "x.1.c": (3, 1, 4),
    }
    torch.testing.assert_close(ours["x.1.up"][2, :2], theirs["l.1.e.2.a"], atol=0, rtol=0)
    back = table.write(ours, headed=True)
    assert back.keys() == theirs.keys()
    assert all(torch.equal(back[name], theirs[name]) for name in theirs)
    with pytest.raises(ModelError, match=r"lacks l\.1\.e\.1\.b: the download is incomplete"):
        table.read({n: t for n, t in theirs.items() if n != "l.1.e.1.b"})
    with pytest.raises(ModelError, match="asks for fewer experts"):
        table.read({**theirs, "l.0.e.3.c": torch.zeros(1, 4)})


def folder(family: str, where: Path, **more: Any) -> tuple[Path, dict[str, Tensor]]:
    """A saved tiny model of the family, and its tensors."""
    build({**all_families()[family].tiny[0], "model_type": family, **more}, "causal_lm").save(where)
    return where, load_file(where / "model.safetensors")


def test_published_names(tmp_path: Path) -> None:
    _, mixtral = folder("mixtral", tmp_path / "mixtral")
    assert {
        "model.layers.0.block_sparse_moe.gate.weight",
        "model.layers.1.block_sparse_moe.experts.3.w2.weight",
    } <= mixtral.keys()
    _, deepseek = folder("deepseek_v3", tmp_path / "deepseek")
    names = ("gate.e_score_correction_bias", "experts.7.gate_proj.weight", "shared_experts.down_proj.weight")
    assert {f"model.layers.1.mlp.{name}" for name in names} <= deepseek.keys()
    assert "model.layers.0.mlp.gate_proj.weight" in deepseek


def test_the_layer_that_guesses_the_token_after_the_next_stays_behind(tmp_path: Path) -> None:
    where, tensors = folder("deepseek_v3", tmp_path / "model")
    further = {name.replace("layers.1.", "layers.2."): t.clone() for name, t in tensors.items() if "layers.1." in name}
    save_file({**tensors, **further, "model.layers.2.eh_proj.weight": torch.zeros(32, 64)}, where / "model.safetensors")
    model = load(where)
    assert any(note.startswith(f"left behind {len(further) + 1} tensors") for note in model.notes)
    again = load_file(model.save(tmp_path / "again") / "model.safetensors")
    assert again.keys() == tensors.keys()


def test_the_correction_keeps_its_precision_and_is_not_trained(tmp_path: Path) -> None:
    where, tensors = folder("deepseek_v3", tmp_path / "model")
    name = "model.layers.1.mlp.gate.e_score_correction_bias"
    save_file({**tensors, name: torch.full((8,), 12.3456)}, where / "model.safetensors")
    model = load(where, dtype=torch.bfloat16)
    part = model.body.get_submodule("decoder.layers.1.feed_forward")
    assert isinstance(part.correction, Tensor)
    assert part.correction.dtype == torch.float32
    assert not part.correction.requires_grad
    assert torch.equal(load_file(model.save(tmp_path / "again") / "model.safetensors")[name], torch.full((8,), 12.3456))
    assert model(torch.randint(0, 99, (1, 4))).logits is not None


@pytest.mark.parametrize(
    ("family", "more", "said"),
    [
        ("mixtral", {"router_jitter_noise": 0.1}, "set router_jitter_noise to 0"),
        ("deepseek_v3", {"topk_method": "greedy"}, "topk_method 'greedy' is not known"),
        ("deepseek_v3", {"quantization_config": {"quant_method": "fp8"}}, "take a copy of the model in bfloat16"),
        ("deepseek_v3", {"n_group": 3}, "correct the numbers of experts and groups"),
        ("gemma2", {"use_bidirectional_attention": True}, "gemma3_text alone"),
    ],
)
def test_what_is_refused(tmp_path: Path, family: str, more: dict[str, Any], said: str) -> None:
    where, _ = folder(family, tmp_path)
    config = where / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **more}))
    with pytest.raises(ModelError, match=said):
        load(where)
