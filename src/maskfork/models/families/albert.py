"""ALBERT (Lan et al. 2020): BERT with one layer's weights for all (or a few groups), and a narrow token table."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, LayerSpec, ModelSpec, StackSpec, full
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Fuse, Rule, rule


def spec(config: Config) -> ModelSpec:
    width, heads = read(config, "hidden_size", default=4096), read(config, "num_attention_heads", default=64)
    turns, groups = read(config, "num_hidden_layers", default=12), read(config, "num_hidden_groups", default=1)
    inner, longest = read(config, "inner_group_num", default=1), read(config, "max_position_embeddings", default=512)
    norm = layer_norm(config, "layer_norm_eps", 1e-12)
    blocks = [turn * groups // turns * inner + i for turn in range(turns) for i in range(inner)]
    encoder = StackSpec(
        depth=len(blocks),
        hidden_size=width,
        masks=full(len(blocks)),
        attention=AttentionSpec(heads, width // heads, heads, dropout=drop_of(config, "attention_probs_dropout_prob", default=0)),
        feed_forward=FeedForwardSpec(
            read(config, "intermediate_size", default=16384), read(config, "hidden_act", default="gelu_new")
        ),
        norm=norm,
        positions=(Learned(longest),),
        layers=tuple(LayerSpec(weights=number) for number in blocks),
        group=inner,
        embed=EmbedSpec(
            types=read(config, "type_vocab_size", default=2), norm=norm, norm_first=True, project=True, project_bias=True,
            size=read(config, "embedding_size", default=128),
        ),
        dropout=drop_of(config, "hidden_dropout_prob", default=0),
    )  # fmt: skip
    return ModelSpec(
        "albert", read(config, "vocab_size", default=30000), encoder=encoder, max_length=longest,
        pad_id=config.get("pad_token_id", 0), bos_id=config.get("bos_token_id", 2), eos_id=config.get("eos_token_id", 3),
        initializer_range=float(read(config, "initializer_range", default=0.02)),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    lm = HeadSpec(
        "masked_lm", tied=read(config, "tie_word_embeddings", default=True), bias=True,
        transform=read(config, "hidden_act", default="gelu_new"), norm=layer_norm(config, "layer_norm_eps", 1e-12),
    )  # fmt: skip
    drop = drop_of(config, "classifier_dropout_prob")
    return encoder_head(kind, config, lm=lm, drop=drop, pair_drop=drop)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    width, group = spec.hidden_size, spec.main.group
    rules = [
        rule("~embeddings.position_embeddings.weight", "encoder.positions.0.table.weight"),
        rule("~embeddings.token_type_embeddings.weight", "encoder.embed.types.weight"),
        rule("~embeddings.LayerNorm.*", "encoder.embed.norm.*"),
        rule("~encoder.embedding_hidden_mapping_in.*", "encoder.embed.project.*"),
        rule("~embeddings.position_ids", None),
    ]
    for number in sorted(set(spec.main.blocks)):
        layer = f"~encoder.albert_layer_groups.{number // group}.albert_layers.{number % group}."
        ours = f"encoder.layers.{number}."
        rules += [
            rule([layer + f"attention.{p}.*" for p in ("query", "key", "value")], ours + "attention.qkv.*", Fuse((width,) * 3)),
            rule(layer + "attention.dense.*", ours + "attention.out.*"),
            rule(layer + "attention.LayerNorm.*", ours + "attention_residual.norm_sum.*"),
            rule(layer + "ffn.*", ours + "feed_forward.up.*"),
            rule(layer + "ffn_output.*", ours + "feed_forward.down.*"),
            rule(layer + "full_layer_layer_norm.*", ours + "feed_forward_residual.norm_sum.*"),
        ]
    words = lm_rules(
        spec, "~embeddings.word_embeddings.weight", out="predictions.decoder.weight", dense="predictions.dense.*",
        norm="predictions.LayerNorm.*", bias=("predictions.bias", "predictions.decoder.bias"),
    )  # fmt: skip
    return (*rules, *words, *label_rules(spec, pooler="~pooler.*", pair="sop_classifier.classifier.*"))


TINY = dict(
    vocab_size=99, embedding_size=16, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=37,
    max_position_embeddings=64,
)  # fmt: skip
BASE = dict(
    embedding_size=128, hidden_size=768, num_attention_heads=12, intermediate_size=3072, max_position_embeddings=512,
)  # fmt: skip

FAMILY = Family(
    "albert", spec, head, weights,
    architectures={
        None: "AlbertModel", "pool": "AlbertModel", "masked_lm": "AlbertForMaskedLM", "pretrain": "AlbertForPreTraining",
        "classify": "AlbertForSequenceClassification", "choice": "AlbertForMultipleChoice",
        "tag": "AlbertForTokenClassification", "span": "AlbertForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "num_hidden_layers": 4, "num_hidden_groups": 2, "hidden_act": "relu", "type_vocab_size": 3},
        {**TINY, "num_hidden_layers": 2, "inner_group_num": 2, "embedding_size": 32, "num_attention_heads": 2},
        {**TINY, "num_hidden_layers": 2, "num_hidden_groups": 2, "hidden_act": "gelu", "tie_word_embeddings": False},
    ),
    prefix="albert.",
    leave=("predictions.", "sop_classifier.", "classifier.", "qa_outputs.", "albert.pooler.", "pooler."),
    aliases=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
    tokenizer="unigram",
    about="every token sees every token; one layer's weights for all layers, a narrow token table",
    hub=("albert/albert-base-v2", "albert/albert-large-v2", "albert/albert-xxlarge-v2"),
    published=(Published("albert-base-v2", 11_683_584, "pool", BASE),),
)  # fmt: skip
