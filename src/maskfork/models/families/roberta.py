"""RoBERTa (Liu et al. 2019): BERT whose places are counted from the padding's id on, with heads of its own."""

from __future__ import annotations

from maskfork.core.positions.learned import Learned
from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.models.families import bert
from maskfork.models.families.family import Config, Family, Published, layer_norm, read
from maskfork.models.families.shared.heads import drop_of, encoder_head, label_rules, lm_rules
from maskfork.models.weights import Rule


def spec(config: Config) -> ModelSpec:
    whole, pad = bert.spec(config), read(config, "pad_token_id", default=1)
    longest = read(config, "max_position_embeddings", default=512) - pad - 1  # the rows up to the padding's are never read
    return whole.replace(
        encoder=whole.main.replace(positions=(Learned(longest, offset=pad + 1),)), max_length=longest,
        pad_id=pad, bos_id=config.get("bos_token_id", 0), eos_id=config.get("eos_token_id", 2),
    )  # fmt: skip


def head(kind: str, config: Config) -> HeadSpec:
    tied, norm = read(config, "tie_word_embeddings", default=True), layer_norm(config, "layer_norm_eps", 1e-12)
    lm = HeadSpec("masked_lm", tied=tied, bias=True, transform="gelu", norm=norm)
    hidden = drop_of(config, "hidden_dropout_prob")
    drop = hidden if kind == "choice" else drop_of(config, "classifier_dropout", default=hidden)
    classify = HeadSpec("classify", dense="tanh", bias=True, dropout=(drop, drop))
    return encoder_head(kind, config, lm=lm, drop=drop, classify=classify)


def weights(spec: ModelSpec) -> tuple[Rule, ...]:
    return (*bert.body(spec), *head_weights(spec))


def head_weights(spec: ModelSpec) -> tuple[Rule, ...]:
    """The token table and the heads."""
    own = spec.head is not None and spec.head.kind == "classify"
    return (
        *lm_rules(
            spec, "~embeddings.word_embeddings.weight", out="lm_head.decoder.weight", dense="lm_head.dense.*",
            norm="lm_head.layer_norm.*", bias=("lm_head.bias", "lm_head.decoder.bias"),
        ),
        *label_rules(spec, dense="classifier.dense.*", out="classifier.out_proj.*" if own else "classifier.*"),
    )  # fmt: skip


TINY = dict(
    vocab_size=99, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37, max_position_embeddings=66,
    type_vocab_size=1,
)  # fmt: skip
BASE = dict(
    vocab_size=50265, hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=3072,
    max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5,
)  # fmt: skip
LARGE = {**BASE, "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}

FAMILY = Family(
    "roberta", spec, head, weights,
    architectures={
        None: "RobertaModel", "pool": "RobertaModel", "masked_lm": "RobertaForMaskedLM",
        "classify": "RobertaForSequenceClassification", "choice": "RobertaForMultipleChoice",
        "tag": "RobertaForTokenClassification", "span": "RobertaForQuestionAnswering",
    },
    tiny=(
        TINY,
        {**TINY, "pad_token_id": 3, "hidden_act": "gelu_new", "num_attention_heads": 8, "type_vocab_size": 2},
        {**TINY, "pad_token_id": 0, "hidden_act": "relu", "num_hidden_layers": 3, "tie_word_embeddings": False,
         "layer_norm_eps": 1e-5},
    ),
    odd=({**TINY, "hidden_size": 24, "num_attention_heads": 3, "num_labels": 5},),
    prefix="roberta.",
    leave=("lm_head.", "classifier.", "qa_outputs.", "roberta.pooler.", "pooler."),
    aliases=bert.FAMILY.aliases,
    tokenizer="bpe",
    about="every token sees every token; post-norm, learned positions counted from the padding's id on",
    hub=("FacebookAI/roberta-base", "FacebookAI/roberta-large", "FacebookAI/roberta-large-mnli", "distilbert/distilroberta-base"),
    published=(
        Published("roberta-base", 124_645_632, "pool", BASE),
        Published("roberta-large", 355_359_744, "pool", LARGE),
    ),
)  # fmt: skip
