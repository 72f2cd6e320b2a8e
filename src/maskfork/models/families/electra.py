"""ELECTRA (Clark et al. 2020): BERT on a narrow token table; a discriminator that finds replaced tokens, and its generator."""

from __future__ import annotations

from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import bert
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Rule, rule


def spec(config: Config) -> ModelSpec:
    whole = bert.spec(config)
    size = read(config, "embedding_size", default=128)
    embed = whole.main.embed.replace(size=size, norm_first=True, project_bias=True)
    return whole.replace(encoder=whole.main.replace(embed=embed))


def head(kind: str, config: Config) -> HeadSpec:
    tied, norm = read(config, "tie_word_embeddings", default=True), layer_norm(config, "layer_norm_eps", 1e-12)
    lm = HeadSpec("masked_lm", tied=tied, bias=True, transform="gelu", norm=norm)
    drop = drop_of(config, "classifier_dropout", "hidden_dropout_prob")
    match kind:
        case "detect":
            return HeadSpec("detect", dense=read(config, "hidden_act", default="gelu"), bias=True, labels=1)
        case "choice":
            return choice(config)
    return encoder_head(
        kind, config, lm=lm, drop=drop, classify=HeadSpec("classify", dense="gelu", bias=True, dropout=(drop, drop))
    )


def choice(config: Config) -> HeadSpec:
    """What is read of a sequence is in the config: `summary_type`, ..."""
    if config.get("summary_type", "first") != "first" or not config.get("summary_use_proj", True):
        raise ModelError("this ELECTRA's summary is not a projection of the first token, as in all published ones: not known")
    drops = drop_of(config, "summary_first_dropout", default=0), drop_of(config, "summary_last_dropout")
    return HeadSpec("choice", dense=config.get("summary_activation", "gelu") or "linear", bias=True, dropout=drops, labels=1)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    own, finder = spec.head is not None and spec.head.kind == "classify", "discriminator_predictions.dense"
    return (
        *bert.body(spec),
        rule("~embeddings_project.*", "encoder.embed.project.*"),
        *lm_rules(
            spec, "~embeddings.word_embeddings.weight", out="generator_lm_head.weight", dense="generator_predictions.dense.*",
            norm="generator_predictions.LayerNorm.*", bias=("generator_lm_head.bias",),
        ),
        *label_rules(
            spec, pooler="sequence_summary.summary.*", dense="classifier.dense.*",
            out="classifier.out_proj.*" if own else "classifier.*", detect=(finder + ".*", finder + "_prediction.*"),
        ),
    )  # fmt: skip


TINY = dict(
    vocab_size=99, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37,
    max_position_embeddings=64, type_vocab_size=2,
)  # fmt: skip
SMALL = dict(
    vocab_size=30522, embedding_size=128, hidden_size=256, num_hidden_layers=12, num_attention_heads=4, intermediate_size=1024,
    max_position_embeddings=512, type_vocab_size=2,
)  # fmt: skip
BASE = {**SMALL, "embedding_size": 768, "hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}

FAMILY = Family(
    "electra", spec, head, weights,
    architectures={
        None: "ElectraModel", "detect": "ElectraForPreTraining", "masked_lm": "ElectraForMaskedLM",
        "classify": "ElectraForSequenceClassification", "choice": "ElectraForMultipleChoice",
        "tag": "ElectraForTokenClassification", "span": "ElectraForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "embedding_size": 32, "hidden_act": "relu", "type_vocab_size": 3, "summary_activation": "tanh"},
        {**TINY, "embedding_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2, "tie_word_embeddings": False,
         "layer_norm_eps": 1e-5, "summary_activation": "relu"},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "hidden_act": "gelu_new", "num_labels": 5},),
    prefix="electra.",
    leave=("discriminator_predictions.", "generator_predictions.", "generator_lm_head.", "classifier.", "qa_outputs.",
           "sequence_summary."),
    aliases=bert.FAMILY.aliases,
    tokenizer="wordpiece",
    about="every token sees every token; post-norm, learned positions, a narrow token table; finds replaced tokens",
    hub=("google/electra-small-discriminator", "google/electra-base-discriminator", "google/electra-large-generator"),
    published=(
        Published("electra-small-discriminator", 13_549_057, "detect", SMALL),
        Published("electra-base-discriminator", 108_891_648, None, BASE),
    ),
)  # fmt: skip
