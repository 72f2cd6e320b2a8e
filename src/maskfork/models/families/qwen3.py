"""Qwen3 (Yang et al. 2025): Qwen2 without biases, whose queries and keys are normed head by head."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.families.mistral import near
from maskfork.models.families.qwen2 import layer_types
from maskfork.models.weights import Rule


def spec(config: Config) -> ModelSpec:
    made = llama.spec({"head_dim": 128, "num_key_value_heads": 32, **config})
    width = config.get("sliding_window", 4096) if config.get("use_sliding_window") else None
    masks = tuple(near(width if kind == "sliding_attention" else None) for kind in layer_types(config))
    attention = made.main.attention.replace(qk_norm=made.main.norm)
    return made.replace(decoder=made.main.replace(attention=attention, masks=masks))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*llama.attention_rules(spec, {**llama.NORMS, **llama.QK_NORMS}), *llama.gated_rules(spec))


TINY = {**llama.TINY, "head_dim": 8}
SMALL = dict(
    vocab_size=151936, hidden_size=1024, intermediate_size=3072, num_hidden_layers=28, num_attention_heads=16,
    num_key_value_heads=8, head_dim=128, tie_word_embeddings=True,
)  # fmt: skip
BIG = dict(
    vocab_size=151936, hidden_size=4096, intermediate_size=12288, num_hidden_layers=36, num_attention_heads=32,
    num_key_value_heads=8, head_dim=128,
)  # fmt: skip

FAMILY = Family(
    "qwen3", spec, llama.head, weights,
    architectures={
        None: "Qwen3Model", "causal_lm": "Qwen3ForCausalLM", "classify": "Qwen3ForSequenceClassification",
        "tag": "Qwen3ForTokenClassification", "span": "Qwen3ForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "head_dim": 12, "num_key_value_heads": 1, "attention_bias": True, "tie_word_embeddings": True,
         "use_sliding_window": True, "sliding_window": 3, "max_window_layers": 1},
        {**TINY, "num_hidden_layers": 3, "num_key_value_heads": 4, "use_sliding_window": True, "sliding_window": 4,
         "layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "rope_parameters": {
             "rope_type": "yarn", "rope_theta": 400.0, "factor": 4.0, "original_max_position_embeddings": 16}},
    ),
    odd=(
        {**TINY, "hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 6, "rms_norm_eps": 1e-3},
        {**TINY, "use_sliding_window": False, "sliding_window": 2, "num_labels": 4, "hidden_act": "gelu"},
    ),
    prefix="model.",
    prefixes={"span": "transformer."},
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, grouped queries with norms on queries and keys, gated",
    hub=("Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-4B", "Qwen/Qwen3-8B", "Qwen/Qwen3-Embedding-0.6B"),
    published=(
        Published("Qwen3-0.6B", 596_049_920, "causal_lm", SMALL),
        Published("Qwen3-8B", 8_190_735_360, "causal_lm", BIG),
    ),
)  # fmt: skip
