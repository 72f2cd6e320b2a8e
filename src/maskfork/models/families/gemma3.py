"""Gemma 3 (Gemma Team 2025), its language model: most layers see a window, some all, each kind with angles of its own."""

from __future__ import annotations

from maskfork.core.mask import Full, Mask, Window
from maskfork.core.positions.rotary import Rotary
from maskfork.core.spec import HeadSpec, LayerSpec, ModelSpec
from maskfork.models.families import gemma, gemma2, llama
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.mistral import near
from maskfork.models.families.shared.heads import decoder_head
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Rule

SLIDING, ALL = "sliding_attention", "full_attention"


def spec(config: Config) -> ModelSpec:
    made = gemma.spec({"num_key_value_heads": 4, **config, "rope_scaling": None, "rope_parameters": None})
    kinds = gemma2.layer_types(config, read(config, "sliding_window_pattern", "_sliding_window_pattern", default=6))
    attention = made.main.attention.replace(
        scale=float(read(config, "query_pre_attn_scalar", default=256)) ** -0.5, qk_norm=made.main.norm
    )
    decoder = made.main.replace(
        attention=attention,
        norm_at=("in", "out"),
        masks=tuple(rule(config, kind) for kind in kinds),
        positions=angles(config),
        layers=tuple(LayerSpec(positions=(int(kind == SLIDING),)) for kind in kinds),
    )
    return made.replace(decoder=decoder)


def rule(config: Config, kind: str) -> Mask:
    """EmbeddingGemma reads both ways, and its window is half to each side."""
    width = read(config, "sliding_window", default=4096)
    if config.get("use_bidirectional_attention"):
        return Window(width // 2, width // 2) if kind == SLIDING else Full()
    return near(width if kind == SLIDING else None)


def angles(config: Config) -> tuple[Rotary, Rotary]:
    """Of the layers that see all, and of those that see a window, which no scaling stretches in the old spelling."""
    near_base = float(read(config, "rope_local_base_freq", default=10_000.0))
    if any(isinstance(part, dict) for part in (config.get("rope_parameters") or {}).values()):
        return rotary(config, ALL, base=1e6), rotary({**config, "rope_theta": None}, SLIDING, base=near_base)
    return rotary(config, base=1e6), Rotary(near_base)


def head(kind: str, config: Config) -> HeadSpec:
    return decoder_head(kind, config, tied=True, softcap=config.get("final_logit_softcapping"))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*llama.attention_rules(spec, {**gemma2.NORMS, **llama.QK_NORMS}), *llama.gated_rules(spec))


TINY = {**gemma.TINY, "num_hidden_layers": 3, "sliding_window": 4, "query_pre_attn_scalar": 12, "sliding_window_pattern": 2}
SMALL = dict(
    vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18, num_attention_heads=4,
    num_key_value_heads=1, head_dim=256,
)  # fmt: skip
BIG = {**SMALL, "hidden_size": 1152, "intermediate_size": 6912, "num_hidden_layers": 26}

FAMILY = Family(
    "gemma3_text", spec, head, weights,
    architectures={
        None: "Gemma3TextModel", "causal_lm": "Gemma3ForCausalLM", "classify": "Gemma3TextForSequenceClassification",
    },
    tiny=(
        TINY,
        {**TINY, "num_hidden_layers": 2, "num_key_value_heads": 1, "sliding_window": 2, "attention_bias": True,
         "layer_types": [SLIDING, ALL], "rope_theta": 700.0, "rope_local_base_freq": 30.0,
         "rope_scaling": {"rope_type": "linear", "factor": 3.0}},
        {**TINY, "num_key_value_heads": 4, "head_dim": 12, "final_logit_softcapping": 3.0, "tie_word_embeddings": False,
         "sliding_window_pattern": 3, "rope_parameters": {
             ALL: {"rope_type": "linear", "rope_theta": 300.0, "factor": 4.0},
             SLIDING: {"rope_type": "default", "rope_theta": 50.0}}},
    ),
    odd=(
        {**TINY, "hidden_size": 36, "num_attention_heads": 3, "num_key_value_heads": 3, "head_dim": 6, "rms_norm_eps": 1e-3},
        {**TINY, "sliding_window": 64, "sliding_window_pattern": 6, "hidden_activation": "silu", "num_labels": 4},
    ),
    prefix="model.",
    leave=("lm_head.", "score."),
    tokenizer="bpe",
    about="a token sees the past, in most layers a window of it; norms in, out and on queries and keys",
    hub=("google/gemma-3-270m", "google/gemma-3-1b-pt", "google/gemma-3-1b-it", "google/embeddinggemma-300m"),
    published=(
        Published("gemma-3-1b-pt", 999_885_952, "causal_lm", BIG),
        Published("gemma-3-270m", 268_098_176, "causal_lm", SMALL),
    ),
)  # fmt: skip
