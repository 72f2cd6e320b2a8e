"""Qwen3 with experts (Yang et al. 2025): eight of 128 narrow feed-forwards for each token, on all layers or on some."""

from __future__ import annotations

from maskfork.core.spec import ExpertsSpec, FeedForwardSpec, LayerSpec, ModelSpec
from maskfork.models.families import llama, qwen3
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.mistral import near
from maskfork.models.families.shared.expert_rules import expert_rules
from maskfork.models.weights import Rule


def spec(config: Config) -> ModelSpec:
    made = qwen3.spec({"head_dim": config["hidden_size"] // config["num_attention_heads"], "num_key_value_heads": 4, **config})
    act = read(config, "hidden_act", default="silu")
    experts = ExpertsSpec(
        read(config, "num_experts", "num_local_experts", default=128), read(config, "num_experts_per_tok", default=8),
        FeedForwardSpec(read(config, "moe_intermediate_size", default=768), act, gated=True, bias=False),
        normalise=bool(config.get("norm_topk_prob", False)), loss=float(read(config, "router_aux_loss_coef", default=0.001)),
    )  # fmt: skip
    every, plain = read(config, "decoder_sparse_step", default=1), read(config, "mlp_only_layers", default=())
    layers = tuple(LayerSpec(feed_forward=None if i in plain or (i + 1) % every else experts) for i in range(made.main.depth))
    slides = config.get("use_sliding_window", False)
    masks = (near(config.get("sliding_window", 4096) if slides else None),) * made.main.depth
    return made.replace(decoder=made.main.replace(masks=masks, layers=layers))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    """A layer's feed-forward is the stack's own or a choice of experts."""
    experts = {e for layer in spec.main.layers if isinstance(e := layer.feed_forward, ExpertsSpec)}
    return (*qwen3.weights(spec), *(r for one in experts for r in expert_rules(one, "~layers.{i}.mlp.")))


TINY = {**llama.TINY, "head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 12}
SMALL = dict(
    vocab_size=151936, hidden_size=2048, intermediate_size=6144, num_hidden_layers=48, num_attention_heads=32,
    num_key_value_heads=4, head_dim=128, num_experts=128, num_experts_per_tok=8, moe_intermediate_size=768, norm_topk_prob=True,
)  # fmt: skip
BIG = {**SMALL, "hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 94, "num_attention_heads": 64,
       "moe_intermediate_size": 1536}  # fmt: skip

FAMILY = Family(
    "qwen3_moe", spec, llama.head, weights,
    architectures={
        None: "Qwen3MoeModel", "causal_lm": "Qwen3MoeForCausalLM", "classify": "Qwen3MoeForSequenceClassification",
        "tag": "Qwen3MoeForTokenClassification", "span": "Qwen3MoeForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "norm_topk_prob": True, "num_experts": 8, "num_experts_per_tok": 3, "num_hidden_layers": 3,
         "decoder_sparse_step": 2, "num_key_value_heads": 1, "tie_word_embeddings": True},
        {**TINY, "mlp_only_layers": [0], "use_sliding_window": True, "sliding_window": 3, "attention_bias": True, "head_dim": 12,
         "norm_topk_prob": True},
    ),
    odd=(
        {**TINY, "num_experts_per_tok": 1, "hidden_act": "gelu", "num_labels": 3, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 400.0, "factor": 4.0, "original_max_position_embeddings": 16}},
        {**TINY, "num_experts": 16, "num_experts_per_tok": 4, "hidden_size": 36, "num_attention_heads": 3, "head_dim": 6,
         "num_key_value_heads": 3, "rms_norm_eps": 1e-3},
    ),
    prefix="model.",
    prefixes={"span": "transformer."},
    leave=("lm_head.", "score.", "qa_outputs."),
    tokenizer="bpe",
    about="a token sees only the past; pre-norm, rotary, norms on queries and keys, eight of 128 gated experts",
    hub=("Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-235B-A22B", "Qwen/Qwen3-30B-A3B-Instruct-2507", "Qwen/Qwen3-Coder-30B-A3B-Instruct"),
    published=(
        Published("Qwen3-30B-A3B", 30_532_122_624, "causal_lm", SMALL),
        Published("Qwen3-235B-A22B", 235_093_634_560, "causal_lm", BIG),
    ),
)  # fmt: skip
