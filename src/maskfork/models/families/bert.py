"""BERT (Devlin et al. 2018): every token sees every token. BioBERT, SciBERT, FinBERT, mBERT and MiniLM load as BERT."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, full
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, labels_of, layer_norm, read
from maskfork.models.weights import Fuse, Rule, Tied, rule


def spec(config: Config) -> ModelSpec:
    if read(config, "position_embedding_type", default="absolute") != "absolute" or config.get("is_decoder"):
        raise ModelError("this BERT has relative positions or a causal mask, which its published checkpoints do not: not known")
    width, heads, depth = config["hidden_size"], config["num_attention_heads"], config["num_hidden_layers"]
    norm = layer_norm(config, "layer_norm_eps", 1e-12)
    drop = float(read(config, "hidden_dropout_prob", default=0.1))
    encoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth),
        attention=AttentionSpec(
            heads, width // heads, heads, dropout=float(read(config, "attention_probs_dropout_prob", default=0.1))
        ),
        feed_forward=FeedForwardSpec(config["intermediate_size"], read(config, "hidden_act", default="gelu")),
        norm=norm,
        positions=(Learned(read(config, "max_position_embeddings", default=512)),),
        embed=EmbedSpec(types=read(config, "type_vocab_size", default=2), norm=norm),
        dropout=drop,
    )
    return ModelSpec(
        "bert", config["vocab_size"], encoder=encoder, max_length=read(config, "max_position_embeddings", default=512),
        pad_id=config.get("pad_token_id", 0), initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    drop = float(read(config, "hidden_dropout_prob", default=0.1))
    if kind == "masked_lm":
        return HeadSpec(
            "masked_lm", tied=read(config, "tie_word_embeddings", default=True), bias=True,
            transform=read(config, "hidden_act", default="gelu"), norm=layer_norm(config, "layer_norm_eps", 1e-12),
        )  # fmt: skip
    if kind == "pool":
        return HeadSpec("pool", dense="tanh")
    drop = float(read(config, "classifier_dropout", default=drop))
    return HeadSpec("classify", dense="tanh", bias=True, dropout=(0.0, drop), labels=labels_of(config))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    width = spec.hidden_size
    layer, ours = "~encoder.layer.{i}.", "encoder.layers.{i}."
    body = (
        rule("~embeddings.position_embeddings.weight", "encoder.positions.0.table.weight"),
        rule("~embeddings.token_type_embeddings.weight", "encoder.embed.types.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule(
            [layer + f"attention.self.{p}.*" for p in ("query", "key", "value")],
            ours + "attention.qkv.*",
            Fuse((width,) * 3),
        ),
        rule(layer + "attention.output.dense.*", ours + "attention.out.*"),
        rule(layer + "attention.output.LayerNorm.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "intermediate.dense.*", ours + "feed_forward.up.*"),
        rule(layer + "output.dense.*", ours + "feed_forward.down.*"),
        rule(layer + "output.LayerNorm.*", ours + "feed_forward_residual.norm_sum.*"),
        rule("~embeddings.position_ids", None),
    )
    return body + head_weights(spec, "~embeddings.word_embeddings.weight")


def head_weights(spec: ModelSpec, words: str) -> tuple[Rule, ...]:
    """The rules of the head, and of the token table that a masked-word head may be tied to."""
    cls, table = "cls.predictions.", "encoder.embed.tokens.weight"
    match spec.head.kind if spec.head else None:
        case "masked_lm":
            transform = rule(cls + "transform.dense.*", "head.dense.*"), rule(cls + "transform.LayerNorm.*", "head.norm.*")
            if spec.head and spec.head.tied:
                bias = rule([cls + "bias", cls + "decoder.bias"], "head.bias", Tied())
                return (*transform, bias, rule([words, cls + "decoder.weight"], table, Tied()))
            bias = rule([cls + "decoder.bias", cls + "bias"], "head.bias")
            return (*transform, bias, rule(words, table), rule(cls + "decoder.weight", "head.weight"))
        case "pool":
            return (rule(words, table), rule("~pooler.dense.*", "head.dense.*"))
        case "classify":
            return (rule(words, table), rule("~pooler.dense.*", "head.pooler.dense.*"), rule("classifier.*", "head.out.*"))
    return (rule(words, table),)


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
    type_vocab_size=2,
)  # fmt: skip

FAMILY = Family(
    "bert", spec, head, weights,
    architectures={None: "BertModel", "pool": "BertModel", "masked_lm": "BertForMaskedLM",
                   "classify": "BertForSequenceClassification"},
    also={"BertForPreTraining": "masked_lm"},
    tiny=(
        TINY,
        {**TINY, "hidden_act": "gelu_new", "num_attention_heads": 8, "type_vocab_size": 3, "layer_norm_eps": 1e-5},
        {**TINY, "hidden_act": "relu", "num_hidden_layers": 3, "tie_word_embeddings": False, "vocab_size": 120},
    ),
    prefix="bert.",
    leave=("cls.", "classifier.", "qa_outputs.", "bert.pooler.", "pooler."),
    aliases=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
    tokenizer="wordpiece",
    about="every token sees every token; post-norm, learned positions",
)  # fmt: skip
