"""DeepSeek-V3 (DeepSeek-AI 2024): latent attention, and after the first layers experts of which one serves all tokens."""

from __future__ import annotations

from dataclasses import replace

from maskfork.core.spec import AttentionSpec, ExpertsSpec, FeedForwardSpec, LatentSpec, LayerSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.expert_rules import expert_rules
from maskfork.models.families.shared.heads import decoder_rules
from maskfork.models.families.shared.latent_rules import latent_rules
from maskfork.models.families.shared.rope import parameters, rotary, scaling, yarn_scale
from maskfork.models.weights import Rule, rule


def spec(config: Config) -> ModelSpec:
    for name, known in (("topk_method", "noaux_tc"), ("scoring_func", "sigmoid")):
        if config.get(name, known) != known:
            raise ModelError(f"{name} '{config[name]}' is not known here: DeepSeek-V3's is '{known}', use a model that has it")
    if config.get("quantization_config"):
        raise ModelError("these weights are of eight bits, which are not read here: take a copy of the model in bfloat16")
    made = llama.spec(config)
    latent = LatentSpec(
        config.get("q_lora_rank", 1536), read(config, "kv_lora_rank", default=512), read(config, "qk_nope_head_dim", default=128),
        read(config, "qk_rope_head_dim", default=64), read(config, "v_head_dim", default=128),
    )  # fmt: skip
    heads, size, bias = config["num_attention_heads"], latent.nope + latent.rope, bool(config.get("attention_bias", False))
    attention = AttentionSpec(
        heads, size, heads, qkv_bias=bias, out_bias=bias, scale=size**-0.5 * sharper(config) ** 2,
        dropout=made.main.attention.dropout, latent=latent,
    )  # fmt: skip
    dense = made.main.dense
    wide = read(config, "moe_intermediate_size", default=2048)
    expert = FeedForwardSpec(wide, dense.activation, gated=True, bias=False)
    experts = ExpertsSpec(
        read(config, "n_routed_experts", "num_local_experts", default=256), read(config, "num_experts_per_tok", default=8),
        expert, shared=expert.replace(size=wide * read(config, "n_shared_experts", default=1)), scoring="sigmoid",
        normalise=bool(read(config, "norm_topk_prob", default=True)),
        scaling=float(read(config, "routed_scaling_factor", default=2.5)),
        groups=read(config, "n_group", default=8), groups_chosen=read(config, "topk_group", default=4), correction=True,
    )  # fmt: skip
    first = read(config, "first_k_dense_replace", default=3)
    decoder = made.main.replace(
        attention=attention,
        layers=tuple(LayerSpec(feed_forward=experts if i >= first else None) for i in range(made.main.depth)),
        positions=(replace(rotary(config, size=latent.rope), interleaved=bool(read(config, "rope_interleave", default=True))),),
    )
    return made.replace(decoder=decoder)


def sharper(config: Config) -> float:
    """What YaRN's longer texts ask of the softmax, beside what the angles carry."""
    rope = parameters(config)
    if scaling(rope, config) is None or not rope.get("mscale_all_dim"):
        return 1.0
    return yarn_scale(float(rope["factor"]), rope["mscale_all_dim"])


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    latent, layer, ours = spec.main.attention.latent, "~layers.{i}.", "decoder.layers.{i}."
    assert latent is not None
    experts = {e for own in spec.main.layers if isinstance(e := own.feed_forward, ExpertsSpec)}
    return (
        *decoder_rules(spec, "~embed_tokens.weight"),
        *latent_rules(latent, layer + "self_attn.", ours + "attention."),
        *(rule(f"{layer}{name}.weight", f"{ours}{own}.weight") for name, own in llama.NORMS.items()),
        rule("~norm.weight", "decoder.norm.weight"),
        *llama.gated_rules(spec),
        *(r for one in experts for r in expert_rules(one, layer + "mlp.")),
        rule(f"~layers.{spec.main.depth}.**", None),  # a further layer that guesses the token after the next
    )


TINY = {
    **llama.TINY, "num_key_value_heads": 4, "q_lora_rank": 10, "kv_lora_rank": 9, "qk_nope_head_dim": 8, "qk_rope_head_dim": 4,
    "v_head_dim": 6, "n_routed_experts": 8, "n_group": 4, "topk_group": 2, "num_experts_per_tok": 3, "first_k_dense_replace": 1,
    "moe_intermediate_size": 12,
}  # fmt: skip
BIG = dict(
    vocab_size=129280, hidden_size=7168, intermediate_size=18432, num_hidden_layers=61, num_attention_heads=128,
    moe_intermediate_size=2048,
)  # fmt: skip
MOONLIGHT = dict(
    vocab_size=163840, hidden_size=2048, intermediate_size=11264, num_hidden_layers=27, num_attention_heads=16,
    q_lora_rank=None, n_routed_experts=64, n_group=1, topk_group=1, num_experts_per_tok=6, n_shared_experts=2,
    first_k_dense_replace=1, moe_intermediate_size=1408, routed_scaling_factor=2.446,
)  # fmt: skip

FAMILY = Family(
    "deepseek_v3", spec, llama.head, weights,
    architectures={
        None: "DeepseekV3Model", "causal_lm": "DeepseekV3ForCausalLM", "classify": "DeepseekV3ForSequenceClassification",
        "tag": "DeepseekV3ForTokenClassification",
    },
    tiny=(
        TINY,
        {**TINY, "q_lora_rank": None, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 0, "n_shared_experts": 2,
         "rope_interleave": False, "attention_bias": True, "tie_word_embeddings": True, "norm_topk_prob": False},
        {**TINY, "n_group": 2, "topk_group": 1, "v_head_dim": 12, "num_hidden_layers": 3, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 400.0, "factor": 8.0, "original_max_position_embeddings": 8, "mscale": 1.0,
            "mscale_all_dim": 0.7}},
    ),
    odd=(
        {**TINY, "num_hidden_layers": 3, "first_k_dense_replace": 3, "routed_scaling_factor": 1.0, "num_labels": 3},
        {**TINY, "hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 3, "hidden_act": "gelu", "topk_group": 4,
         "num_experts_per_tok": 1, "rope_parameters": {
             "rope_type": "yarn", "rope_theta": 400.0, "factor": 4.0, "original_max_position_embeddings": 16}},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees only the past; latent attention, gated experts chosen by groups and one that all tokens share",
    hub=("moonshotai/Moonlight-16B-A3B", "moonshotai/Moonlight-16B-A3B-Instruct", "unsloth/DeepSeek-V3-bf16"),
    published=(
        Published("DeepSeek-V3", 671_026_419_200, "causal_lm", BIG),
        Published("Moonlight-16B-A3B", 15_960_110_208, "causal_lm", MOONLIGHT),
    ),
)  # fmt: skip
