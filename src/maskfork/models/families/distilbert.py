"""DistilBERT (Sanh et al. 2019): half of BERT's layers, without token types and without a pooler."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, NormSpec, StackSpec, full
from maskfork.models.families.family import Config, Family, Published, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Fuse, Rule, rule

NORM = NormSpec("layer", 1e-12)


def spec(config: Config) -> ModelSpec:
    width, longest = read(config, "dim", "hidden_size", default=768), read(config, "max_position_embeddings", default=512)
    heads = read(config, "n_heads", "num_attention_heads", default=12)
    depth = read(config, "n_layers", "num_hidden_layers", default=6)
    encoder = StackSpec(
        depth=depth,
        hidden_size=width,
        masks=full(depth),
        attention=AttentionSpec(heads, width // heads, heads, dropout=drop_of(config, "attention_dropout")),
        feed_forward=FeedForwardSpec(read(config, "hidden_dim", default=3072), read(config, "activation", default="gelu")),
        norm=NORM,
        positions=(Learned(longest),),
        embed=EmbedSpec(norm=NORM),
        dropout=drop_of(config, "dropout"),
    )
    return ModelSpec(
        "distilbert", config["vocab_size"], encoder=encoder, max_length=longest, pad_id=config.get("pad_token_id", 0),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    tied, act = read(config, "tie_word_embeddings", default=True), read(config, "activation", default="gelu")
    lm = HeadSpec("masked_lm", tied=tied, bias=True, transform=act, norm=NORM)
    drop = drop_of(config, "dropout") if kind == "tag" else drop_of(config, "seq_classif_dropout", default=0.2)
    return encoder_head(kind, config, lm=lm, drop=drop, dense="relu", span_drop=drop_of(config, "qa_dropout"))


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    layer, ours = "~transformer.layer.{i}.", "encoder.layers.{i}."
    return (
        rule("~embeddings.position_embeddings.weight", "encoder.positions.0.table.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule([layer + f"attention.{p}_lin.*" for p in "qkv"], ours + "attention.qkv.*", Fuse((spec.hidden_size,) * 3)),
        rule(layer + "attention.out_lin.*", ours + "attention.out.*"),
        rule(layer + "sa_layer_norm.*", ours + "attention_residual.norm_sum.*"),
        rule(layer + "ffn.lin1.*", ours + "feed_forward.up.*"),
        rule(layer + "ffn.lin2.*", ours + "feed_forward.down.*"),
        rule(layer + "output_layer_norm.*", ours + "feed_forward_residual.norm_sum.*"),
        rule("~embeddings.position_ids", None),
        *lm_rules(
            spec, "~embeddings.word_embeddings.weight", out="vocab_projector.weight", dense="vocab_transform.*",
            norm="vocab_layer_norm.*", bias=("vocab_projector.bias",),
        ),
        *label_rules(spec, pooler="pre_classifier.*"),
    )  # fmt: skip


TINY = dict(vocab_size=99, dim=32, n_layers=2, n_heads=4, hidden_dim=37, max_position_embeddings=64)
BASE = dict(vocab_size=30522, dim=768, n_layers=6, n_heads=12, hidden_dim=3072, max_position_embeddings=512)

FAMILY = Family(
    "distilbert", spec, head, weights,
    architectures={
        None: "DistilBertModel", "masked_lm": "DistilBertForMaskedLM", "classify": "DistilBertForSequenceClassification",
        "choice": "DistilBertForMultipleChoice", "tag": "DistilBertForTokenClassification",
        "span": "DistilBertForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "activation": "relu", "n_heads": 8, "sinusoidal_pos_embds": True},
        {**TINY, "n_layers": 3, "dim": 24, "n_heads": 3, "hidden_dim": 50, "tie_word_embeddings": False},
    ),
    odd=({**TINY, "activation": "gelu_new", "n_heads": 1, "num_labels": 5},),
    prefix="distilbert.",
    leave=("vocab_transform.", "vocab_layer_norm.", "vocab_projector.", "pre_classifier.", "classifier.", "qa_outputs."),
    aliases=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
    tokenizer="wordpiece",
    about="every token sees every token; post-norm, learned positions, no token types",
    hub=("distilbert/distilbert-base-uncased", "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
         "distilbert/distilbert-base-multilingual-cased"),
    published=(
        Published("distilbert-base-uncased", 66_362_880, None, BASE),
        Published("distilbert-base-multilingual-cased", 134_734_080, None, {**BASE, "vocab_size": 119_547}),
    ),
)  # fmt: skip
