"""Gemma 2 (Gemma Team 2024): logits are capped, every other layer sees a window, each sublayer is normed on both sides."""

from __future__ import annotations

from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.models.families import gemma, llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.mistral import near
from maskfork.models.families.shared.heads import decoder_head
from maskfork.models.weights import Rule

NORMS = {
    "input_layernorm": "attention_residual.norm_in",
    "post_attention_layernorm": "attention_residual.norm_out",
    "pre_feedforward_layernorm": "feed_forward_residual.norm_in",
    "post_feedforward_layernorm": "feed_forward_residual.norm_out",
}


def layer_types(config: Config, pattern: int = 2) -> list[str]:
    """As listed, or of each `pattern` layers the last reads all and the others a window."""
    made = ["sliding_attention" if (i + 1) % pattern else "full_attention" for i in range(config["num_hidden_layers"])]
    return list(config.get("layer_types") or made)


def spec(config: Config) -> ModelSpec:
    gemma.refuse_both_ways(config)
    made = gemma.spec({"num_key_value_heads": 4, **config})
    width = config.get("sliding_window", 4096)
    attention = made.main.attention.replace(
        scale=float(read(config, "query_pre_attn_scalar", default=256)) ** -0.5,
        softcap=config.get("attn_logit_softcapping", 50.0),
    )
    masks = tuple(near(width if kind == "sliding_attention" else None) for kind in layer_types(config))
    return made.replace(decoder=made.main.replace(attention=attention, masks=masks, norm_at=("in", "out")))


def head(kind: str, config: Config) -> HeadSpec:
    return decoder_head(kind, config, tied=True, softcap=config.get("final_logit_softcapping", 30.0))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*llama.attention_rules(spec, NORMS), *llama.gated_rules(spec))


TINY = {**gemma.TINY, "sliding_window": 4, "query_pre_attn_scalar": 12, "attn_logit_softcapping": 2.0,
        "final_logit_softcapping": 3.0}  # fmt: skip
SMALL = dict(
    vocab_size=256000, hidden_size=2304, intermediate_size=9216, num_hidden_layers=26, num_attention_heads=8,
    num_key_value_heads=4, head_dim=256,
)  # fmt: skip
BIG = dict(
    vocab_size=256000, hidden_size=3584, intermediate_size=14336, num_hidden_layers=42, num_attention_heads=16,
    num_key_value_heads=8, head_dim=256,
)  # fmt: skip

FAMILY = Family(
    "gemma2", spec, head, weights,
    architectures={
        None: "Gemma2Model", "causal_lm": "Gemma2ForCausalLM", "classify": "Gemma2ForSequenceClassification",
        "tag": "Gemma2ForTokenClassification",
    },
    tiny=(
        TINY,
        {**TINY, "num_hidden_layers": 3, "num_key_value_heads": 1, "sliding_window": 2, "attn_logit_softcapping": None,
         "attention_bias": True, "layer_types": ["full_attention", "sliding_attention", "sliding_attention"]},
        {**TINY, "num_key_value_heads": 4, "head_dim": 12, "final_logit_softcapping": None, "tie_word_embeddings": False,
         "hidden_activation": "silu", "rope_parameters": {"rope_type": "linear", "rope_theta": 300.0, "factor": 3.0}},
    ),
    odd=(
        {**TINY, "hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 6, "rms_norm_eps": 1e-3},
        {**TINY, "sliding_window": 64, "attn_logit_softcapping": 30.0, "num_labels": 4},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees the past, in every other layer a window of it; capped logits, norms in and out",
    hub=("google/gemma-2-2b", "google/gemma-2-9b", "google/gemma-2-2b-it", "google/gemma-2-27b"),
    published=(
        Published("gemma-2-2b", 2_614_341_888, "causal_lm", SMALL),
        Published("gemma-2-9b", 9_241_705_984, "causal_lm", BIG),
    ),
)  # fmt: skip
