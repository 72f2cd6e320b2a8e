"""The Hugging Face folder, both ways; the round trip of every family and head is in test_parity.py, where its oracle is."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import load
from maskfork.errors import ModelError
from maskfork.models.families import all_families
from maskfork.models.hub import build, their_tensors
from tests.models.theirs import FAMILIES, Case, class_of, main_head, saved


def born() -> list[Any]:
    """Every family's every head; the lesser ones among the slow tests."""
    heads = [(family, head) for family in FAMILIES for head in all_families()[family].architectures]
    return [
        pytest.param(f, h, id=f"{f}-{h or 'bare'}", marks=() if h in ("classify", main_head(f)) else pytest.mark.slow)
        for f, h in heads
    ]


@pytest.mark.parametrize(("family", "head"), born())
def test_ours_first(family: str, head: str | None, tmp_path: Path) -> None:
    """A model that was born here is read by theirs, and says its own name and type."""
    data, case = all_families()[family], Case(family, 0, head)
    named = head in ("classify", "tag")
    model = build({**case.config, "model_type": family}, head, seed=3, labels=["a", "b"] if named else None)
    model.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    assert config["architectures"] == [data.architectures[head]]
    assert config["dtype"] == "float32"
    kind, told = class_of(case)
    theirs, info = kind.from_pretrained(tmp_path, output_loading_info=True, **told)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    if named:
        assert theirs.config.id2label == {0: "a", 1: "b"}
        assert load(tmp_path).label_names == ("a", "b")
    mine = their_tensors(model)
    for name, tensor in their_tensors(load(tmp_path)).items():
        assert torch.equal(tensor, mine[name]), name


def test_one_family_in_another_head(tmp_path: Path) -> None:
    """A language model's folder becomes a classifier: the body stays, the head starts fresh from its seed and says so."""
    case = Case("bert", 0, "masked_lm")
    saved(case, tmp_path)
    a, b = (
        load(tmp_path, head="classify", labels=["x", "y", "z"], seed=5),
        load(tmp_path, head="classify", labels=["x", "y", "z"]),
    )
    assert a.label_names == ("x", "y", "z")
    assert "fresh (seed 5)" in a.notes[0]
    assert "left behind" in a.notes[1]
    assert torch.equal(a.body.tokens.weight, b.body.tokens.weight)
    first, other = dict(a.named_parameters())["head.out.weight"], dict(b.named_parameters())["head.out.weight"]
    assert first.shape == (3, 32)
    assert not torch.equal(first, other)
    again = dict(load(tmp_path, head="classify", labels=["x", "y", "z"], seed=5).named_parameters())["head.out.weight"]
    assert torch.equal(first, again)


def test_shards(tmp_path: Path) -> None:
    case = Case("llama", 1, "causal_lm")
    model = saved(case, tmp_path / "one")
    model.save_pretrained(tmp_path / "many", max_shard_size="20KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    one, many = their_tensors(load(tmp_path / "one")), their_tensors(load(tmp_path / "many"))
    assert one.keys() == many.keys()
    assert all(torch.equal(one[n], many[n]) for n in one)
    next(iter((tmp_path / "many").glob("*.safetensors"))).unlink()
    with pytest.raises(ModelError, match=r"lacks model-0000.*incomplete"):
        load(tmp_path / "many")


def test_an_old_pickle(tmp_path: Path) -> None:
    case = Case("gpt2", 0, "causal_lm")
    model = saved(case, tmp_path)
    kept = their_tensors(load(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    again = their_tensors(load(tmp_path))
    assert all(torch.equal(kept[n], again[n]) for n in kept)


class Evil:
    def __reduce__(self) -> object:
        return os.system, ("touch PWNED",)


def test_a_pickle_with_code_in_it_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(Case("gpt2", 0, "causal_lm"), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for write in (lambda f: torch.save({"wte.weight": Evil()}, f), lambda f: pickle.dump({"wte.weight": Evil()}, f)):
        with (tmp_path / "pytorch_model.bin").open("wb") as file:
            write(file)  # type: ignore[no-untyped-call]
        with pytest.raises(ModelError, match=r"pytorch_model\.bin"):
            load(tmp_path)
        assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, *(pytest.param(d, marks=pytest.mark.slow) for d in (torch.float16, torch.float64))]
)
def test_types_and_devices(dtype: torch.dtype, tmp_path: Path) -> None:
    """Nothing stays on the meta device, and a model can be cast at loading or afterwards."""
    for family in FAMILIES:
        folder = tmp_path / family
        case = Case(family, 0, None)
        saved(case, folder)
        model = load(folder)
        tensors = [*model.parameters(), *model.buffers()]
        assert all(t.device.type == "cpu" for t in tensors)
        assert all(p.dtype == torch.float32 for p in model.parameters())
        fresh = build({**case.config, "model_type": family})
        assert [p.requires_grad for p in model.parameters()] == [p.requires_grad for p in fresh.parameters()]
        assert not model.training
        cast, born = load(folder).to(dtype), load(folder, dtype=dtype)
        for a, b in zip(cast.parameters(), born.parameters(), strict=True):
            assert a.dtype == dtype
            assert b.dtype == (dtype if b.requires_grad else b.dtype)  # what only sways a choice may keep its precision
            assert torch.equal(a, b.to(dtype))
        ids = torch.tensor(case.texts()[1:2])
        with torch.no_grad():
            wide, low = model(ids).last_hidden_state, cast(ids).last_hidden_state
        assert low.dtype == dtype
        far = (wide - low.float()).abs().max() / wide.abs().max().clamp_min(1)
        assert far < {torch.float64: 1e-4, torch.float16: 0.05, torch.bfloat16: 0.4}[dtype]


def test_saving_leaves_no_half_written_file(tmp_path: Path) -> None:
    model = build({**dict(FAMILY_TINY), "model_type": "gpt2"})
    model.save(tmp_path / "a")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["config.json", "model.safetensors"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="is a file"):
        model.save(tmp_path / "file")


FAMILY_TINY = dict(vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=16)


def test_a_loaded_model_is_its_own(tmp_path: Path) -> None:
    """Training does not reach into the file, saving over it is safe, and what comes back is the same to the bit."""
    for family in FAMILIES:
        folder = tmp_path / family
        case = Case(family, 1, None)
        saved(case, folder)
        written = (folder / "model.safetensors").read_bytes()
        model = load(folder)
        with torch.no_grad():
            for p in model.parameters():
                p.mul_(1.1)
        assert (folder / "model.safetensors").read_bytes() == written
        ids = torch.tensor(case.texts()[1:2])
        with torch.no_grad():
            before = model(ids).last_hidden_state
            model.save(folder)
            assert torch.equal(model(ids).last_hidden_state, before)
            assert torch.equal(load(folder)(ids).last_hidden_state, before)
