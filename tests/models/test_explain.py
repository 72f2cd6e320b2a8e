"""What is said of a model is what the model does: its parameters, its kernels, its cache, what autograd keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.core.kernels.choose import KERNELS
from maskfork.core.transformer import Pass
from maskfork.models.explain import Explanation, explain
from maskfork.models.explain.facts import brief
from maskfork.models.explain.memory import activations
from maskfork.models.families import all_families
from maskfork.models.hub import build

PADDED = Batch.from_lists([[0] * 9, [0] * 5], 0)
PACKED = Batch.packed([[0] * 9, [0] * 5])
FAMILIES = sorted(all_families())


def config_only(folder: Path, family: str, number: int = 0, **more: Any) -> Path:
    data = all_families()[family]
    head = next((h for h in ("causal_lm", "masked_lm") if h in data.architectures), None)
    named = {"model_type": family, "architectures": [data.architectures[head]]}
    (folder / "config.json").write_text(json.dumps({**data.tiny[number], **named, **more}))
    return folder


def whole(facts: Explanation) -> int:
    """Parameters, added up from the parts."""
    blocks = {(one.stack, one.block): one.parameters for one in facts.layers}
    return sum(blocks.values()) + sum(facts.embeddings.values()) + facts.head_parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_explained_from_its_config_alone(family: str, tmp_path: Path) -> None:
    for number, _ in enumerate(all_families()[family].tiny):
        config_only(tmp_path, family, number)
        for batch in (PADDED, PACKED):
            facts = explain(tmp_path, batch)
            assert not facts.has_weights
            assert whole(facts) == facts.parameters
            assert facts.memory.weights["float32"] == 4 * facts.parameters
            for kernel in facts.kernels:
                assert [s.answer for s in kernel.stances].count("takes") == 1
                assert {s.kernel for s in kernel.stances} == set(KERNELS)
                assert all(s.words for s in kernel.stances)


@pytest.mark.parametrize("batch", [PADDED, PACKED], ids=["padded", "packed"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "mistral", "t5", "gemma2", "deberta-v2"])
def test_the_kernel_is_the_one_that_the_model_takes(
    family: str, batch: Batch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    plan = Pass.plan

    def spy(self: Pass, *args: Any, **more: Any) -> Any:
        answer = plan(self, *args, **more)
        taken.append(answer.kernel)
        return answer

    facts = explain(config_only(tmp_path, family), batch)
    monkeypatch.setattr(Pass, "plan", spy)
    model = build(json.loads((tmp_path / "config.json").read_text()), None)
    with torch.inference_mode():
        model(batch, decoder_input_ids=batch) if model.spec.fork == "encoder-decoder" else model(batch)
    said = []
    for layer in facts.layers:
        said.append(facts.kernels[layer.kernel].taker.kernel)
        if layer.cross_kernel is not None:
            said.append(facts.kernels[layer.cross_kernel].taker.kernel)
    assert said == taken


def test_layers_say_what_they_are(tmp_path: Path) -> None:
    facts = explain(config_only(tmp_path, "gemma2"), PADDED)
    assert len({one.rule for one in facts.layers}) == 2  # windows alternate
    refusals = {s.kernel: s.words for s in facts.kernels[0].stances if s.answer == "refuses"}
    assert "cap the logits" in refusals["sdpa"]
    facts = explain(config_only(tmp_path, "albert"), PADDED)
    assert len({one.block for one in facts.layers}) < len(facts.layers)
    facts = explain(config_only(tmp_path, "t5"), PADDED)
    assert {one.stack for one in facts.layers} == {"encoder", "decoder"}
    assert [k.cross for k in facts.kernels].count(True) == 1
    assert facts.layers[0].positions[0].startswith("T5Bias(")


def test_a_folder_with_weights(tmp_path: Path) -> None:
    config = {**all_families()["llama"].tiny[0], "model_type": "llama"}
    model = build(config, "causal_lm")
    model.save(tmp_path)
    facts = explain(tmp_path, PADDED)
    loaded = load(tmp_path)
    assert facts.has_weights
    assert facts.parameters == sum(p.numel() for p in loaded.parameters())
    assert (facts.head, facts.fork) == ("causal_lm", "decoder")
    size = (tmp_path / "model.safetensors").stat().st_size
    assert list(facts.memory.stored) == ["float32"]
    assert 0 <= size - facts.memory.stored["float32"] < 10_000  # the header


def test_cached_bytes_are_what_the_cache_holds() -> None:
    for family in ("gpt2", "mistral", "t5", "deepseek_v3"):
        model = build({**all_families()[family].tiny[0], "model_type": family}, None)
        cache, ids = Cache(), torch.randint(5, 60, (1, 7))
        with torch.inference_mode():
            model(ids, decoder_input_ids=ids, cache=cache) if model.spec.encoder else model(ids, cache=cache)
        held = sum(t[:, : cache.length].numel() for store in cache._stores for t in store.values())
        facts = memory_of(model.spec)
        assert facts.cache_per_token == 4 * held / 7
        across = sum(t.numel() for pair in cache._cross.values() for t in pair)
        assert facts.cache_per_source_token == 4 * across / 7


def memory_of(spec: Any) -> Any:
    from maskfork.models.explain.memory import memory

    return memory(spec, 1, {}, 1)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "bart", "mixtral", "gptj"])
def test_what_training_keeps_is_about_what_autograd_keeps(family: str) -> None:
    config = {**all_families()[family].tiny[0], "model_type": family}
    wide = {
        "hidden_size": 64,
        "n_embd": 64,
        "d_model": 64,
        "intermediate_size": 256,
        "encoder_ffn_dim": 256,
        "decoder_ffn_dim": 256,
    }
    drops = ("dropout", "hidden_dropout_prob", "attention_probs_dropout_prob", "resid_pdrop", "attn_pdrop")
    config |= {k: v for k, v in wide.items() if k in config} | dict.fromkeys(drops, 0.0)
    model = build(config, None).train()
    weights = {p.data_ptr() for p in model.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def pack(t: torch.Tensor) -> torch.Tensor:
        if t.is_floating_point() and t.untyped_storage().data_ptr() not in weights:
            kept[t.untyped_storage().data_ptr()] = t  # alive, so that its address is not used again
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        model(torch.randint(5, 90, (4, 32))).last_hidden_state.sum()
    measured = sum(t.untyped_storage().nbytes() for t in kept.values())
    assert activations(model.spec, 128).kept == pytest.approx(measured, rel=0.2)


def test_broken_folders_are_one_sentence(tmp_path: Path) -> None:
    from maskfork.errors import ModelError

    with pytest.raises(ModelError, match=r"no config\.json"):
        explain(tmp_path, PADDED)
    (config_only(tmp_path, "bert") / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ModelError, match="broken"):
        explain(tmp_path, PADDED)
    (tmp_path / "model.safetensors").unlink()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(ModelError, match="lacks"):
        explain(tmp_path, PADDED)


def test_shards_and_old_pickles(tmp_path: Path) -> None:
    model = build({**all_families()["bert"].tiny[0], "model_type": "bert"}, "masked_lm")
    model.save(tmp_path)
    one = explain(tmp_path, PADDED)
    from safetensors.torch import load_file

    torch.save(load_file(tmp_path / "model.safetensors"), tmp_path / "pytorch_model.bin")
    (tmp_path / "model.safetensors").unlink()
    assert explain(tmp_path, PADDED).memory.stored == one.memory.stored


def test_brief() -> None:
    from maskfork.core.positions.learned import Learned
    from maskfork.core.positions.rotary import Linear, Rotary

    assert brief(Learned(512)) == "Learned(512)"
    assert brief(Learned(512, offset=2)) == "Learned(512, offset=2)"
    assert brief(Rotary()) == "Rotary"
    assert brief(Rotary(share=0.25, scaling=Linear(4.0))) == "Rotary(share=0.25, scaling=Linear(4))"
