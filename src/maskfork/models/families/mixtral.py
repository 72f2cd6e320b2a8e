"""Mixtral (Jiang et al. 2024): Mistral with eight feed-forwards a layer, of which a router chooses two for each token."""

from __future__ import annotations

from maskfork.core.spec import ExpertsSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.mistral import near
from maskfork.models.families.shared.expert_rules import expert_rules
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Rule


def spec(config: Config) -> ModelSpec:
    if config.get("router_jitter_noise"):
        raise ModelError("noise on what the router reads is not known here: set router_jitter_noise to 0 in config.json")
    made = llama.spec({"num_key_value_heads": 8, "rms_norm_eps": 1e-5, **config})
    experts = ExpertsSpec(
        read(config, "num_local_experts", "num_experts", default=8), read(config, "num_experts_per_tok", default=2),
        made.main.dense, loss=float(read(config, "router_aux_loss_coef", default=0.001)),
    )  # fmt: skip
    masks = (near(config.get("sliding_window")),) * made.main.depth
    return made.replace(decoder=made.main.replace(masks=masks, positions=(rotary(config, base=1e6),), feed_forward=experts))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    experts = spec.main.feed_forward
    assert isinstance(experts, ExpertsSpec)
    return (*llama.attention_rules(spec), *expert_rules(experts, "~layers.{i}.block_sparse_moe.", "w1", "w3", "w2"))


TINY = {**llama.TINY, "intermediate_size": 36, "num_local_experts": 4, "num_experts_per_tok": 2}
SMALL = dict(
    vocab_size=32000, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    num_key_value_heads=8, num_local_experts=8, num_experts_per_tok=2,
)  # fmt: skip
BIG = {**SMALL, "hidden_size": 6144, "intermediate_size": 16384, "num_hidden_layers": 56,
       "num_attention_heads": 48}  # fmt: skip

FAMILY = Family(
    "mixtral", spec, llama.head, weights,
    architectures={
        None: "MixtralModel", "causal_lm": "MixtralForCausalLM", "classify": "MixtralForSequenceClassification",
        "tag": "MixtralForTokenClassification", "span": "MixtralForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "num_local_experts": 8, "num_experts_per_tok": 3, "sliding_window": 4, "head_dim": 12, "hidden_act": "gelu",
         "tie_word_embeddings": True},
        {**TINY, "num_experts_per_tok": 1, "num_key_value_heads": 4, "rope_parameters": {
            "rope_type": "linear", "rope_theta": 300.0, "factor": 3.0}},
    ),
    odd=(
        {**TINY, "num_local_experts": 3, "num_experts_per_tok": 3, "num_hidden_layers": 3, "num_labels": 3},
        {**TINY, "num_local_experts": 16, "hidden_size": 36, "num_attention_heads": 6, "num_key_value_heads": 3,
         "intermediate_size": 12, "rms_norm_eps": 1e-3},
    ),
    prefix="model.",
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, grouped queries, two of eight gated experts",
    hub=("mistralai/Mixtral-8x7B-v0.1", "mistralai/Mixtral-8x7B-Instruct-v0.1", "mistralai/Mixtral-8x22B-v0.1",
         "NousResearch/Nous-Hermes-2-Mixtral-8x7B-DPO"),
    published=(
        Published("Mixtral-8x7B-v0.1", 46_702_792_704, "causal_lm", SMALL),
        Published("Mixtral-8x22B-v0.1", 140_620_634_112, "causal_lm", BIG),
    ),
)  # fmt: skip
