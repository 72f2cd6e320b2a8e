"""DeBERTa v2 and v3 (He et al. 2021): every token sees every token, content and place apart (disentangled attention)."""

from __future__ import annotations

from maskfork.core.positions.disentangled import Disentangled
from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, ConvSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, full
from maskfork.models.families.family import Config, Family, labels_of, layer_norm, read
from maskfork.models.families.heads import lm_rules
from maskfork.models.weights import Fuse, Rule, rule


def kinds(config: Config) -> tuple[str, ...]:
    types = config.get("pos_att_type") or ()
    return tuple(t.strip() for t in types.lower().split("|")) if isinstance(types, str) else tuple(types)


def disentangled(config: Config) -> Disentangled:
    far = read(config, "max_relative_positions", default=-1)
    far = far if far > 0 else config["max_position_embeddings"]
    normed = "layer_norm" in str(config.get("norm_rel_ebd", "none")).lower()
    return Disentangled(
        far, max(int(read(config, "position_buckets", default=-1)), 0),
        content_to_position="c2p" in kinds(config), position_to_content="p2c" in kinds(config),
        shared=bool(config.get("share_att_key", False)),
        norm=layer_norm(config, "layer_norm_eps", 1e-7) if normed else None,
        dropout=float(read(config, "hidden_dropout_prob", default=0.1)),
    )  # fmt: skip


def spec(config: Config) -> ModelSpec:
    width, heads, depth = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    size = read(config, "attention_head_size", default=width // heads)
    norm = layer_norm(config, "layer_norm_eps", 1e-7)
    relative = (disentangled(config),) if config.get("relative_attention") else ()
    absolute = (Learned(config["max_position_embeddings"]),) if config.get("position_biased_input", True) else ()
    kernel = int(config.get("conv_kernel_size", 0) or 0)
    encoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth),
        attention=AttentionSpec(
            heads, size, heads, scale=(size * (1 + sum(k in ("c2p", "p2c") for k in kinds(config)))) ** -0.5,
            dropout=float(read(config, "attention_probs_dropout_prob", default=0.1)),
        ),
        feed_forward=FeedForwardSpec(config["intermediate_size"], read(config, "hidden_act", default="gelu")),
        norm=norm,
        positions=(*relative, *absolute),
        embed=EmbedSpec(types=config.get("type_vocab_size", 0) or 0, norm=norm, size=config.get("embedding_size")),
        conv=ConvSpec(kernel, config.get("conv_groups", 1), config.get("conv_act", "tanh")) if kernel else None,
        dropout=float(read(config, "hidden_dropout_prob", default=0.1)),
    )  # fmt: skip
    # Relative places go on without end; only a learned table of absolute ones is a limit. Training saw max_position_embeddings.
    return ModelSpec(
        "deberta-v2", config["vocab_size"], encoder=encoder, max_length=config["max_position_embeddings"],
        pad_id=config.get("pad_token_id", 0), initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    act = read(config, "hidden_act", default="gelu")
    if kind == "masked_lm":
        tied = not config.get("legacy", True) or read(config, "tie_word_embeddings", default=True)
        return HeadSpec(
            "masked_lm", tied=tied, bias=True, transform=act, norm=layer_norm(config, "layer_norm_eps", 1e-7),
            spelling="" if config.get("legacy", True) else "v3",
        )  # fmt: skip
    drop = float(read(config, "cls_dropout", "hidden_dropout_prob", default=0.1))
    return HeadSpec(
        "classify", dense=read(config, "pooler_hidden_act", default="gelu"), bias=True,
        dropout=(float(read(config, "pooler_dropout", default=0.0)), drop), labels=labels_of(config),
    )  # fmt: skip


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    inner = spec.main.attention.num_heads * spec.main.attention.head_size
    layer, ours = "~encoder.layer.{i}.", "encoder.layers.{i}."
    attention = layer + "attention.self."
    parts = [attention + f"{p}_proj.*" for p in ("query", "key", "value")]
    return (
        rule("~embeddings.token_type_embeddings.weight", "encoder.embed.types.weight"),
        rule("~embeddings.embed_proj.weight", "encoder.embed.project.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule(parts, ours + "attention.qkv.*", Fuse((inner,) * 3)),
        rule(layer + "attention.output.dense.*", ours + "attention.out.*"),
        rule(layer + "attention.output.LayerNorm.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "intermediate.dense.*", ours + "feed_forward.up.*"),
        rule(layer + "output.dense.*", ours + "feed_forward.down.*"),
        rule(layer + "output.LayerNorm.*", ours + "feed_forward_residual.norm_sum.*"),
        rule("~encoder.conv.conv.*", "encoder.conv.conv.*"),
        rule("~encoder.conv.LayerNorm.*", "encoder.conv.norm.*"),
        rule("~embeddings.position_ids", None),
        *place_weights(spec, attention),
        *head_weights(spec),
    )


def place_weights(spec: ModelSpec, attention: str) -> tuple[Rule, ...]:
    kinds = {type(p): f"encoder.positions.{i}." for i, p in enumerate(spec.main.positions)}
    # v3 folders carry a table of absolute places that nothing reads.
    table = kinds[Learned] + "table.weight" if Learned in kinds else None
    rules = (rule("~embeddings.position_embeddings.weight", table),)
    if Disentangled not in kinds:
        return (*rules, rule("~encoder.LayerNorm.*", None))
    ours = kinds[Disentangled]
    return (
        *rules,
        rule("~encoder.rel_embeddings.weight", ours + "table.weight"),
        rule("~encoder.LayerNorm.*", ours + "norm.*"),
        rule(attention + "pos_key_proj.*", ours + "keys.{i}.*"),
        rule(attention + "pos_query_proj.*", ours + "queries.{i}.*"),
    )


def head_weights(spec: ModelSpec) -> tuple[Rule, ...]:
    words = "~embeddings.word_embeddings.weight"
    match spec.head.kind if spec.head else None:
        case "masked_lm" if spec.head and spec.head.spelling == "v3":
            theirs = {"dense.*": "dense.*", "LayerNorm.*": "norm.*", "bias": "bias"}
            lm = tuple(rule("lm_predictions.lm_head." + name, "head." + our) for name, our in theirs.items())
        case "classify":
            lm = (rule("pooler.dense.*", "head.pooler.dense.*"), rule("classifier.*", "head.out.*"))
        case _:
            return lm_rules(spec, words)
    return (*lm, rule(words, "encoder.embed.tokens.weight"))


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
    type_vocab_size=0, relative_attention=True, position_biased_input=False, pos_att_type=["p2c", "c2p"], share_att_key=True,
    position_buckets=8, max_relative_positions=-1, norm_rel_ebd="layer_norm", pooler_hidden_size=32,
)  # fmt: skip

FAMILY = Family(
    "deberta-v2", spec, head, weights,
    architectures={None: "DebertaV2Model", "masked_lm": "DebertaV2ForMaskedLM", "classify": "DebertaV2ForSequenceClassification"},
    tiny=(
        TINY,
        {**TINY, "conv_kernel_size": 3, "conv_act": "gelu", "share_att_key": False, "pos_att_type": ["c2p"],
         "position_buckets": -1},
        {**TINY, "share_att_key": False, "position_biased_input": True, "type_vocab_size": 2, "position_buckets": 4,
         "max_relative_positions": 24, "norm_rel_ebd": "none", "legacy": False},
    ),
    prefix="deberta.",
    leave=("cls.", "lm_predictions.", "mask_predictions.", "classifier.", "pooler.", "qa_outputs."),
    tokenizer="unigram",
    about="every token sees every token, content and place apart; post-norm, disentangled",
)  # fmt: skip
