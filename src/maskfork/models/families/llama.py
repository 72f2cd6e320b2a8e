"""Llama (Touvron et al. 2023): a token sees only the past; rotary positions, grouped queries, gated feed-forward, RMSNorm."""

from __future__ import annotations

from typing import Any

from maskfork.core.positions.rotary import Linear, Llama3, Rotary
from maskfork.core.spec import AttentionSpec, FeedForwardSpec, HeadSpec, ModelSpec, NormSpec, StackSpec, causal
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, labels_of, read
from maskfork.models.families.gpt2 import token_rules
from maskfork.models.weights import Fuse, Rule, rule


def rotary(config: Config) -> Rotary:
    """`rope_parameters` of transformers 5, or `rope_theta` and `rope_scaling` before it."""
    rope: dict[str, Any] = {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}
    base = float(rope.get("rope_theta", read(config, "rope_theta", default=10_000.0)))
    match rope.get("rope_type", rope.get("type", "default")):
        case "default":
            return Rotary(base)
        case "linear":
            return Rotary(base, scaling=Linear(float(rope["factor"])))
        case "llama3":
            scaling = Llama3(
                float(rope["factor"]), float(rope["low_freq_factor"]), float(rope["high_freq_factor"]),
                int(rope["original_max_position_embeddings"]),
            )  # fmt: skip
            return Rotary(base, scaling=scaling)
        case other:
            raise ModelError(f"rope scaling '{other}' is not known: default, linear and llama3 are")


def spec(config: Config) -> ModelSpec:
    width, heads, depth = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    bias = bool(config.get("attention_bias", False))
    decoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=causal(depth),
        attention=AttentionSpec(
            heads, read(config, "head_dim", default=width // heads), read(config, "num_key_value_heads", default=heads),
            qkv_bias=bias, out_bias=bias, dropout=float(read(config, "attention_dropout", default=0.0)),
        ),
        feed_forward=FeedForwardSpec(
            config["intermediate_size"], read(config, "hidden_act", default="silu"), gated=True,
            bias=bool(config.get("mlp_bias", False)),
        ),
        norm=NormSpec("rms", float(read(config, "rms_norm_eps", default=1e-6))),
        norm_at=("in",),
        final_norm=True,
        positions=(rotary(config),),
    )  # fmt: skip
    eos = config.get("eos_token_id")
    return ModelSpec(
        "llama", config["vocab_size"], decoder=decoder, max_length=config.get("max_position_embeddings"),
        pad_id=config.get("pad_token_id"), bos_id=config.get("bos_token_id"), eos_id=tuple(eos) if isinstance(eos, list) else eos,
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    if kind == "classify":
        return HeadSpec("classify", pool="last", labels=labels_of(config))
    return HeadSpec("causal_lm", tied=read(config, "tie_word_embeddings", default=False))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    attention, inner = spec.main.attention, spec.main.dense.size
    rows = (attention.num_heads * attention.head_size, *(attention.num_kv_heads * attention.head_size,) * 2)
    layer, ours = "~layers.{i}.", "decoder.layers.{i}."
    return (
        *token_rules(spec, "~embed_tokens.weight"),
        rule([layer + f"self_attn.{p}_proj.*" for p in "qkv"], ours + "attention.qkv.*", Fuse(rows)),
        rule(layer + "self_attn.o_proj.*", ours + "attention.out.*"),
        rule([layer + "mlp.gate_proj.*", layer + "mlp.up_proj.*"], ours + "feed_forward.up.*", Fuse((inner, inner))),
        rule(layer + "mlp.down_proj.*", ours + "feed_forward.down.*"),
        rule(layer + "input_layernorm.weight", ours + "attention_residual.norm_in.weight"),
        rule(layer + "post_attention_layernorm.weight", ours + "feed_forward_residual.norm_in.weight"),
        rule("~norm.weight", "decoder.norm.weight"),
        rule(layer + "self_attn.rotary_emb.inv_freq", None),
    )


TINY = dict(
    vocab_size=99, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64,
)  # fmt: skip

FAMILY = Family(
    "llama", spec, head, weights,
    architectures={None: "LlamaModel", "causal_lm": "LlamaForCausalLM", "classify": "LlamaForSequenceClassification"},
    tiny=(
        TINY,
        {**TINY, "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "head_dim": 16,
         "tie_word_embeddings": True},
        {**TINY, "num_key_value_heads": 4, "rope_parameters": {
            "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, grouped queries, gated",
)  # fmt: skip
