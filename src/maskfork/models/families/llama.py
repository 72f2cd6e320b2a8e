"""Llama (Touvron et al. 2023): a token sees only the past; rotary positions, grouped queries, gated feed-forward, RMSNorm."""

from __future__ import annotations

from collections.abc import Mapping

from maskfork.core.spec import AttentionSpec, FeedForwardSpec, HeadSpec, ModelSpec, NormSpec, StackSpec, causal
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.heads import decoder_head, decoder_rules
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Fuse, Rule, rule


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
    return decoder_head(kind, config)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*attention_rules(spec), *gated_rules(spec))


NORMS = {"input_layernorm": "attention_residual.norm_in", "post_attention_layernorm": "feed_forward_residual.norm_in"}
QK_NORMS = {f"self_attn.{p}_norm": f"attention.qkv.{p}_norm" for p in "qk"}


def attention_rules(spec: ModelSpec, norms: Mapping[str, str] = NORMS) -> tuple[Rule, ...]:
    """All but the feed-forward, which the descendants have of other kinds. `norms` of a layer: their names to ours."""
    attention, layer, ours = spec.main.attention, "~layers.{i}.", "decoder.layers.{i}."
    rows = (attention.num_heads * attention.head_size, *(attention.num_kv_heads * attention.head_size,) * 2)
    return (
        *decoder_rules(spec, "~embed_tokens.weight"),
        rule([layer + f"self_attn.{p}_proj.*" for p in "qkv"], ours + "attention.qkv.*", Fuse(rows)),
        rule(layer + "self_attn.o_proj.*", ours + "attention.out.*"),
        *(rule(f"{layer}{name}.weight", f"{ours}{own}.weight") for name, own in norms.items()),
        rule("~norm.weight", "decoder.norm.weight"),
        rule(layer + "self_attn.rotary_emb.inv_freq", None),
    )


def gated_rules(spec: ModelSpec) -> tuple[Rule, ...]:
    mlp, ours, inner = "~layers.{i}.mlp.", "decoder.layers.{i}.feed_forward.", spec.main.dense.size
    return (
        rule([mlp + "gate_proj.*", mlp + "up_proj.*"], ours + "up.*", Fuse((inner, inner))),
        rule(mlp + "down_proj.*", ours + "down.*"),
    )


TINY = dict(
    vocab_size=99, hidden_size=32, intermediate_size=37, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
    max_position_embeddings=64,
)  # fmt: skip
ROPE = dict(rope_theta=500.0, factor=4.0)

FAMILY = Family(
    "llama", spec, head, weights,
    architectures={
        None: "LlamaModel", "causal_lm": "LlamaForCausalLM", "classify": "LlamaForSequenceClassification",
        "tag": "LlamaForTokenClassification", "span": "LlamaForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "num_key_value_heads": 1, "attention_bias": True, "mlp_bias": True, "hidden_act": "gelu", "head_dim": 16,
         "tie_word_embeddings": True, "rope_parameters": {**ROPE, "rope_type": "dynamic"}, "max_position_embeddings": 7},
        {**TINY, "num_key_value_heads": 4, "rope_parameters": {
            **ROPE, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 16}},
        {**TINY, "rope_parameters": {
            **ROPE, "rope_type": "yarn", "original_max_position_embeddings": 16, "beta_fast": 4.0, "beta_slow": 0.5}},
    ),
    odd=(
        {**TINY, "hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 3, "head_dim": 12, "hidden_act": "relu",
         "rms_norm_eps": 1e-3},
        {**TINY, "rope_parameters": {**ROPE, "rope_type": "linear"}, "num_labels": 3},
        {**TINY, "rope_parameters": {
            **ROPE, "rope_type": "longrope", "original_max_position_embeddings": 8, "short_factor": [1.0, 1.5, 2.0, 3.0],
            "long_factor": [2.0, 3.0, 4.0, 8.0]}},
    ),
    prefix="model.",
    prefixes={"span": "transformer."},
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, grouped queries, gated",
    hub=("meta-llama/Llama-2-7b-hf", "meta-llama/Meta-Llama-3-8B", "meta-llama/Llama-3.2-1B",
         "TinyLlama/TinyLlama-1.1B-Chat-v1.0", "HuggingFaceTB/SmolLM2-135M"),
    published=(
        Published("Meta-Llama-3-8B", 8_030_261_248, "causal_lm", dict(
            vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
            num_key_value_heads=8)),
        Published("Llama-2-7b", 6_738_415_616, "causal_lm", dict(
            vocab_size=32000, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)),
    ),
)  # fmt: skip
