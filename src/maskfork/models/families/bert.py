"""BERT (Devlin et al. 2018): every token sees every token. BioBERT, SciBERT, FinBERT, mBERT and MiniLM load as BERT."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, StackSpec, full
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Fuse, Rule, rule


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
    act, norm = read(config, "hidden_act", default="gelu"), layer_norm(config, "layer_norm_eps", 1e-12)
    tied = read(config, "tie_word_embeddings", default=True)
    lm = HeadSpec("masked_lm", tied=tied, bias=True, transform=act, norm=norm)
    return encoder_head(kind, config, lm=lm, drop=drop_of(config, "classifier_dropout", "hidden_dropout_prob"))


def body(spec: ModelSpec) -> tuple[Rule, ...]:
    """All but the token table and the head."""
    width = spec.hidden_size
    layer, ours = "~encoder.layer.{i}.", "encoder.layers.{i}."
    return (
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


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*body(spec), *lm_rules(spec, "~embeddings.word_embeddings.weight"), *label_rules(spec))


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=64,
    type_vocab_size=2,
)  # fmt: skip
BASE = dict(vocab_size=30522, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072)

FAMILY = Family(
    "bert", spec, head, weights,
    architectures={None: "BertModel", "pool": "BertModel", "masked_lm": "BertForMaskedLM", "pretrain": "BertForPreTraining",
                   "classify": "BertForSequenceClassification", "choice": "BertForMultipleChoice",
                   "pair": "BertForNextSentencePrediction", "tag": "BertForTokenClassification",
                   "span": "BertForQuestionAnswering"},
    tiny=(
        TINY,
        {**TINY, "hidden_act": "gelu_new", "num_attention_heads": 8, "type_vocab_size": 3, "layer_norm_eps": 1e-5},
        {**TINY, "hidden_act": "relu", "num_hidden_layers": 3, "tie_word_embeddings": False, "vocab_size": 120},
    ),
    odd=(
        {**TINY, "hidden_act": "silu", "type_vocab_size": 1, "num_labels": 5},
        {**TINY, "hidden_size": 24, "num_attention_heads": 3},
    ),
    prefix="bert.",
    nameless=True,
    leave=("cls.", "classifier.", "qa_outputs.", "bert.pooler.", "pooler."),
    aliases=(("LayerNorm.gamma", "LayerNorm.weight"), ("LayerNorm.beta", "LayerNorm.bias")),
    tokenizer="wordpiece",
    about="every token sees every token; post-norm, learned positions",
    hub=("google-bert/bert-base-uncased", "google-bert/bert-base-cased", "google-bert/bert-large-uncased",
         "google-bert/bert-base-multilingual-cased", "dmis-lab/biobert-v1.1", "allenai/scibert_scivocab_uncased",
         "ProsusAI/finbert", "sentence-transformers/all-MiniLM-L6-v2"),
    published=(
        Published("bert-base-uncased", 109_482_240, "pool", BASE),
        Published("bert-base-cased", 108_310_272, "pool", {**BASE, "vocab_size": 28996}),
        Published("bert-base-multilingual-cased", 177_853_440, "pool", {**BASE, "vocab_size": 119547}),
        Published("bert-large-uncased", 335_141_888, "pool", {
            **BASE, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}),
    ),
)  # fmt: skip
