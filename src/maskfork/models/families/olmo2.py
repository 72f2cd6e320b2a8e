"""OLMo 2 (Walsh et al. 2024): Llama with norms on the sublayers' outputs alone, and on all of a token's queries and keys."""

from __future__ import annotations

from maskfork.core.spec import ModelSpec
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published
from maskfork.models.weights import Rule

NORMS = {
    "post_attention_layernorm": "attention_residual.norm_out",
    "post_feedforward_layernorm": "feed_forward_residual.norm_out",
    **llama.QK_NORMS,
}


def spec(config: Config) -> ModelSpec:
    made = llama.spec({"rms_norm_eps": 1e-5, **config})
    attention = made.main.attention.replace(qk_norm=made.main.norm, qk_norm_over="width")
    return made.replace(decoder=made.main.replace(attention=attention, norm_at=("out",)))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*llama.attention_rules(spec, NORMS), *llama.gated_rules(spec))


TINY = llama.TINY
ROPE = {"rope_type": "default", "rope_theta": 500_000.0}
SMALL = dict(vocab_size=100352, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=16)
BIG = dict(vocab_size=100352, hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32)

FAMILY = Family(
    "olmo2", spec, llama.head, weights,
    architectures={None: "Olmo2Model", "causal_lm": "Olmo2ForCausalLM", "classify": "Olmo2ForSequenceClassification"},
    tiny=(
        TINY,
        {**TINY, "num_key_value_heads": 1, "attention_bias": True, "tie_word_embeddings": True, "rms_norm_eps": 1e-3},
        {**TINY, "num_key_value_heads": 4, "hidden_act": "gelu", "rope_parameters": ROPE, "num_labels": 3},
    ),
    odd=(
        {**TINY, "hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 3, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 500.0, "factor": 8.0, "original_max_position_embeddings": 8}},
        {**TINY, "num_hidden_layers": 3, "hidden_act": "relu", "rope_parameters": {
            "rope_type": "linear", "rope_theta": 50.0, "factor": 2.0}},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees only the past; norms on the outputs and on queries and keys, rotary, gated",
    hub=("allenai/OLMo-2-0425-1B", "allenai/OLMo-2-1124-7B", "allenai/OLMo-2-1124-13B", "allenai/OLMo-2-1124-7B-Instruct"),
    published=(
        Published("OLMo-2-1124-7B", 7_298_617_344, "causal_lm", BIG),
        Published("OLMo-2-0425-1B", 1_484_916_736, "causal_lm", SMALL),
    ),
)  # fmt: skip
