"""Phi-3 and Phi-4 (Abdin et al. 2024): Llama with one matrix for q, k, v and one for gate and up; longrope, partial rotary."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.mistral import near
from maskfork.models.families.shared.heads import decoder_rules
from maskfork.models.weights import Rule, rule


def spec(config: Config) -> ModelSpec:
    made = llama.spec({
        **config,
        "rms_norm_eps": read(config, "rms_norm_eps", default=1e-5),
        "original_max_position_embeddings": read(config, "original_max_position_embeddings", default=4096),
        **{key: scaling(config[key]) for key in ("rope_scaling", "rope_parameters") if config.get(key)},
    })  # fmt: skip
    masks = (near(config.get("sliding_window")),) * made.main.depth
    drop = float(read(config, "resid_pdrop", default=0.0))
    embed = made.main.embed.replace(dropout=0.0)  # its `embd_pdrop` is never read
    return made.replace(decoder=made.main.replace(masks=masks, dropout=drop, embed=embed))


def scaling(rope: Config) -> Config:
    """Its first configs call longrope "su" or "yarn"."""
    kind = rope.get("rope_type", rope.get("type"))
    return {**rope, "rope_type": "longrope"} if kind in ("su", "yarn") else rope


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~layers.{i}.", "decoder.layers.{i}."
    return (
        *decoder_rules(spec, "~embed_tokens.weight"),
        rule(layer + "self_attn.qkv_proj.*", ours + "attention.qkv.*"),
        rule(layer + "self_attn.o_proj.*", ours + "attention.out.*"),
        rule(layer + "mlp.gate_up_proj.*", ours + "feed_forward.up.*"),
        rule(layer + "mlp.down_proj.*", ours + "feed_forward.down.*"),
        rule(layer + "input_layernorm.weight", ours + "attention_residual.norm_in.weight"),
        rule(layer + "post_attention_layernorm.weight", ours + "feed_forward_residual.norm_in.weight"),
        rule("~norm.weight", "decoder.norm.weight"),
    )


TINY = {**llama.TINY, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LONG = {"rope_type": "longrope", "rope_theta": 500.0, "short_factor": [1.0, 1.1, 1.5, 2.0], "long_factor": [1.5, 2.0, 4.0, 9.0]}
MINI = dict(
    vocab_size=32064, hidden_size=3072, intermediate_size=8192, num_hidden_layers=32, num_attention_heads=32,
    max_position_embeddings=4096,
)  # fmt: skip

FAMILY = Family(
    "phi3", spec, llama.head, weights,
    architectures={
        None: "Phi3Model", "causal_lm": "Phi3ForCausalLM", "classify": "Phi3ForSequenceClassification",
        "tag": "Phi3ForTokenClassification",
    },
    tiny=(
        TINY,
        {**TINY, "original_max_position_embeddings": 6, "rope_parameters": {
            **LONG, "original_max_position_embeddings": 6}, "sliding_window": 4, "tie_word_embeddings": True},
        {**TINY, "hidden_size": 64, "num_key_value_heads": 4, "original_max_position_embeddings": 32, "rope_parameters": {
            **LONG, "partial_rotary_factor": 0.5, "original_max_position_embeddings": 32}, "resid_pdrop": 0.1},
    ),
    odd=(
        {**TINY, "hidden_act": "gelu", "num_key_value_heads": 1, "sliding_window": 2, "rope_parameters": {
            "rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}, "num_labels": 3},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary with two sets of frequencies, fused projections, gated",
    hub=("microsoft/Phi-3-mini-4k-instruct", "microsoft/Phi-3-mini-128k-instruct", "microsoft/phi-4",
         "microsoft/Phi-4-mini-instruct"),
    published=(
        Published("Phi-3-mini-4k-instruct", 3_821_079_552, "causal_lm", MINI),
        Published("Phi-4-mini-instruct", 3_836_021_760, "causal_lm", {
            **MINI, "vocab_size": 200064, "num_attention_heads": 24, "num_key_value_heads": 8, "tie_word_embeddings": True}),
    ),
)  # fmt: skip
