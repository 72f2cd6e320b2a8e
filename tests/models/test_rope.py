"""Rotary positions from config.json: every spelling gives the frequencies that the reference computes from it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import Gemma3TextConfig, GPTNeoXConfig, LlamaConfig, Phi3Config, PreTrainedConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from maskfork.core.positions.rotary import Rotary, RotaryPositions
from maskfork.errors import ModelError
from maskfork.models.families import gpt_neox, phi3
from maskfork.models.families.shared.rope import rotary

HEAD = 8
SIZES: dict[str, Any] = dict(
    vocab_size=9, hidden_size=4 * HEAD, intermediate_size=9, num_hidden_layers=1, num_attention_heads=4,
    max_position_embeddings=256,
)  # fmt: skip
FACTORS = dict(short_factor=[1.0, 1.5, 2.0, 3.0], long_factor=[2.0, 4.0, 6.0, 9.0])
SPELLINGS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "base": {"rope_theta": 500.0},
    "linear, old": {"rope_theta": 500.0, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}},
    "dynamic, old": {"rope_scaling": {"type": "dynamic", "factor": 4.0}},
    "both names": {"rope_theta": 9.0, "rope_scaling": {"rope_type": "linear", "type": "linear", "factor": 3.0}},
    "null": {"rope_scaling": None, "rope_theta": 77.0},
    "llama3, old": {"rope_theta": 5e5, "rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32}},
    "yarn": {"rope_parameters": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64}},
    "yarn, mscale": {"rope_theta": 1e4, "rope_scaling": {
        "type": "yarn", "factor": 40.0, "original_max_position_embeddings": 64, "beta_fast": 16, "beta_slow": 2, "mscale": 1.0,
        "mscale_all_dim": 0.7}},
    "yarn, a ratio": {"rope_parameters": {"rope_type": "yarn", "factor": None, "original_max_position_embeddings": 64}},
    "yarn, told": {"rope_parameters": {
        "rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "attention_factor": 0.7, "truncate": False}},
    "longrope": {"rope_parameters": {"rope_type": "longrope", **FACTORS, "original_max_position_embeddings": 64}},
    "longrope, its length outside": {
        "original_max_position_embeddings": 32, "rope_scaling": {"type": "longrope", **FACTORS}, "rope_theta": 3e3},
    "longrope, told": {"rope_parameters": {
        "rope_type": "longrope", **FACTORS, "original_max_position_embeddings": 64, "factor": 16.0, "attention_factor": 1.1}},
    "partial": {"partial_rotary_factor": 0.5, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "proportional": {"rope_parameters": {"rope_type": "proportional", "rope_theta": 1e3, "partial_rotary_factor": 0.5}},
}  # fmt: skip


def same(ours: Rotary, config: PreTrainedConfig, layer_type: str | None = None) -> None:
    """Frequencies for short and long texts, and what the cosines are multiplied by."""
    scheme = RotaryPositions(ours, HEAD)
    rope = config.rope_parameters[layer_type] if layer_type else config.rope_parameters
    for length in (1, 64, 65, 300):
        if rope["rope_type"] == "default":  # which each model computes for itself
            size = int(HEAD * rope.get("partial_rotary_factor", 1.0))
            want, factor = 1 / rope["rope_theta"] ** (torch.arange(0, size, 2).float() / size), 1.0
        else:
            init = ROPE_INIT_FUNCTIONS[rope["rope_type"]]
            want, factor = init(config, torch.device("cpu"), seq_len=length, layer_type=layer_type)
        torch.testing.assert_close(scheme.frequencies(torch.device("cpu"), length), want, atol=0, rtol=2e-6)
        assert scheme.scaling.attention == pytest.approx(factor)


@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_spellings(spelling: str) -> None:
    """As it stands in a file, and as transformers 5 writes it again."""
    given = SPELLINGS[spelling]
    config = LlamaConfig.from_dict({**SIZES, **given})
    same(rotary({**SIZES, **given}), config)
    written = config.to_dict()
    assert rotary(written) == rotary({**SIZES, **given})


def test_by_the_type_of_the_layer() -> None:
    rope = {
        "full_attention": {"rope_type": "linear", "rope_theta": 1e6, "factor": 8.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    given = {**SIZES, "head_dim": HEAD, "rope_parameters": rope, "layer_types": ["full_attention"]}
    config = Gemma3TextConfig(**{**given, "num_hidden_layers": 1})
    for kind in rope:
        same(rotary(given, kind), config, kind)
    assert rotary(given, "full_attention") != rotary(given, "sliding_attention")
    with pytest.raises(ModelError, match="none for chunked_attention"):
        rotary(given, "chunked_attention")
    with pytest.raises(ModelError, match="one for all layers"):
        rotary(given)


def test_other_names() -> None:
    """GPT-NeoX and Phi-3 have spellings of their own."""
    for given in ({}, {"rotary_pct": 0.5, "rotary_emb_base": 300}, {"rope_scaling": {"type": "linear", "factor": 2.0}}):
        ours = gpt_neox.spec({**SIZES, **given}).main.positions[0]
        assert isinstance(ours, Rotary)
        same(ours, GPTNeoXConfig.from_dict({**SIZES, **given}))
    for kind in ("su", "yarn", "longrope"):
        given = {**SIZES, "original_max_position_embeddings": 64, "rope_scaling": {"type": kind, **FACTORS}}
        ours = phi3.spec(given).main.positions[0]
        assert isinstance(ours, Rotary)
        if kind == "longrope":
            same(ours, Phi3Config.from_dict({**given, "pad_token_id": 0}))
        assert ours == phi3.spec({**given, "rope_scaling": {"type": "longrope", **FACTORS}}).main.positions[0]


def test_wrong_ones() -> None:
    with pytest.raises(ModelError, match=r"rope scaling 'mrope' is not known: default, linear"):
        rotary({**SIZES, "rope_scaling": {"type": "mrope"}})
    lists = rotary({**SIZES, "rope_scaling": {"type": "longrope", **FACTORS, "short_factor": [1.0, 2.0, 3.0]}})
    with pytest.raises(ModelError, match=r"lists of 3 and 4 numbers .* 8 dimensions .* give 4 numbers"):
        RotaryPositions(lists, HEAD)
