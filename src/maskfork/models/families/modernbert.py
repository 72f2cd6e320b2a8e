"""ModernBERT (Warner et al. 2024): layers that see all between layers that see a window, each kind with angles of its own."""

from __future__ import annotations

from maskfork.core.mask import Full, Window
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, LayerSpec, ModelSpec, NormSpec, StackSpec
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, lm_rules
from maskfork.models.families.shared.rope import rotary
from maskfork.models.weights import Rule, rule

SLIDING, ALL = "sliding_attention", "full_attention"


def spec(config: Config) -> ModelSpec:
    width, heads, depth = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    every = read(config, "global_attn_every_n_layers", default=3)
    kinds = read(config, "layer_types", default=[SLIDING if i % every else ALL for i in range(depth)])
    side = read(config, "local_attention", default=128) // 2
    norm, bias = norm_of(config), bool(read(config, "attention_bias", default=False))
    encoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=tuple(Window(side, side) if kind == SLIDING else Full() for kind in kinds),
        attention=AttentionSpec(heads, width // heads, heads, bias, bias, dropout=read(config, "attention_dropout", default=0.0)),
        feed_forward=FeedForwardSpec(
            config["intermediate_size"], read(config, "hidden_activation", default="gelu"), gated=True,
            bias=bool(read(config, "mlp_bias", default=False)), dropout=drop_of(config, "mlp_dropout", default=0.0),
        ),
        norm=norm,
        norm_at=("in",),
        final_norm=True,
        positions=(
            rotary({**config, "rope_theta": config.get("global_rope_theta")}, ALL, base=160_000.0),
            rotary({**config, "rope_theta": config.get("local_rope_theta")}, SLIDING),
        ),
        layers=tuple(LayerSpec(positions=(int(kind == SLIDING),), norm_first=i > 0) for i, kind in enumerate(kinds)),
        embed=EmbedSpec(norm=norm, dropout=drop_of(config, "embedding_dropout", default=0.0)),
    )  # fmt: skip
    return ModelSpec(
        "modernbert", config["vocab_size"], encoder=encoder, max_length=read(config, "max_position_embeddings", default=8192),
        pad_id=read(config, "pad_token_id", default=50283), initializer_range=read(config, "initializer_range", default=0.02),
    )  # fmt: skip


def norm_of(config: Config) -> NormSpec:
    return NormSpec("layer", float(read(config, "norm_eps", default=1e-5)), bias=bool(read(config, "norm_bias", default=False)))


def head(kind: str, config: Config) -> HeadSpec:
    """Every head begins with the layer that the masked words were predicted with."""
    act, bias = read(config, "classifier_activation", default="gelu"), bool(read(config, "classifier_bias", default=False))
    norm, drop = norm_of(config), drop_of(config, "classifier_dropout", default=0.0)
    lm = HeadSpec(
        "masked_lm", tied=read(config, "tie_word_embeddings", default=True), bias=read(config, "decoder_bias", default=True),
        transform=act, norm=norm, dense_bias=bias,
    )  # fmt: skip
    mean = config.get("classifier_pooling") == "mean" and kind in ("classify", "choice")
    made = encoder_head(kind, config, lm=lm, drop=drop, dense=act, span_drop=drop)
    return made.replace(dense=act, dense_bias=bias, dense_norm=norm, pool="mean" if mean else "first")


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~layers.{i}.", "encoder.layers.{i}."
    return (
        rule("~embeddings.norm.*", "encoder.embed.norm.*"),
        rule(layer + "attn_norm.*", ours + "attention_residual.norm_in.*"),
        rule(layer + "attn.Wqkv.*", ours + "attention.qkv.*"),
        rule(layer + "attn.Wo.*", ours + "attention.out.*"),
        rule(layer + "mlp_norm.*", ours + "feed_forward_residual.norm_in.*"),
        rule(layer + "mlp.Wi.*", ours + "feed_forward.up.*"),
        rule(layer + "mlp.Wo.*", ours + "feed_forward.down.*"),
        rule("~final_norm.*", "encoder.norm.*"),
        *lm_rules(
            spec, "~embeddings.tok_embeddings.weight", out="decoder.weight", dense="head.dense.*", norm="head.norm.*",
            bias=("decoder.bias",),
        ),
        *label_rules(spec),
    )  # fmt: skip


def label_rules(spec: ModelSpec) -> tuple[Rule, ...]:
    if spec.head is None or spec.head.kind == "masked_lm":
        return ()
    ours = "head." if spec.head.kind in ("tag", "span") else "head.pooler."
    return (rule("head.dense.*", ours + "dense.*"), rule("head.norm.*", ours + "norm.*"), rule("classifier.*", "head.out.*"))


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=4, num_attention_heads=4, intermediate_size=20, max_position_embeddings=64,
    local_attention=4, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2,
)  # fmt: skip
BASE = dict(vocab_size=50368, hidden_size=768, num_hidden_layers=22, num_attention_heads=12, intermediate_size=1152)
LARGE = {**BASE, "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16, "intermediate_size": 2624}

FAMILY = Family(
    "modernbert", spec, head, weights,
    architectures={None: "ModernBertModel", "masked_lm": "ModernBertForMaskedLM",
                   "classify": "ModernBertForSequenceClassification", "choice": "ModernBertForMultipleChoice",
                   "tag": "ModernBertForTokenClassification", "span": "ModernBertForQuestionAnswering"},
    tiny=(
        TINY,
        {**TINY, "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True, "decoder_bias": False,
         "classifier_pooling": "mean", "global_attn_every_n_layers": 2, "local_attention": 7},
        {**TINY, "num_hidden_layers": 2, "num_attention_heads": 2, "hidden_activation": "relu", "classifier_activation": "silu",
         "layer_types": [SLIDING, ALL], "local_attention": 2, "tie_word_embeddings": False, "rope_parameters": {
             ALL: {"rope_type": "linear", "rope_theta": 300.0, "factor": 4.0},
             SLIDING: {"rope_type": "default", "rope_theta": 50.0}}},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "norm_eps": 1e-3, "num_labels": 5, "global_rope_theta": 90.0,
          "local_rope_theta": 20.0},),
    prefix="model.",
    leave=("head.", "decoder.", "classifier."),
    tokenizer="bpe",
    about="most layers see a window to both sides, every third all; pre-norm, rotary, gated, no biases",
    hub=("answerdotai/ModernBERT-base", "answerdotai/ModernBERT-large", "Alibaba-NLP/gte-modernbert-base",
         "nomic-ai/modernbert-embed-base"),
    published=(Published("ModernBERT-base", 149_014_272, None, BASE), Published("ModernBERT-large", 394_781_696, None, LARGE)),
)  # fmt: skip
