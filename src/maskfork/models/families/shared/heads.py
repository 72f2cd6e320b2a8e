"""The usual heads, so that a family's file says only where its own differ.

A family's `head` is `encoder_head` or `decoder_head` with its dropouts; its `weights` end with the rules of `head_rules.py`.
"""

from __future__ import annotations

from maskfork.core.spec import HeadSpec
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, labels_of, read
from maskfork.models.families.shared.head_rules import BERT_LM, decoder_rules, label_rules, lm_rules

__all__ = ["BERT_LM", "both_head", "decoder_head", "decoder_rules", "drop_of", "encoder_head", "label_rules", "lm_rules"]


def drop_of(config: Config, *names: str, default: float = 0.1) -> float:
    """The first of these dropouts that the config names."""
    return float(read(config, *names, default=default))


def encoder_head(
    kind: str,
    config: Config,
    *,
    lm: HeadSpec,
    drop: float,
    dense: str | None = "tanh",
    classify: HeadSpec | None = None,
    span_drop: float = 0.0,
    pair_drop: float = 0.0,
) -> HeadSpec:
    """The head of an encoder.

    `lm` is its masked-word head, which `pretrain` has too. The first token's vector goes through a `dense` layer (BERT's
    pooler) to the labels, `drop` before them; a family whose classifier has layers of its own gives `classify` (its labels are
    counted here). Raises ModelError on a kind that is none of an encoder's.
    """
    labels = labels_of(config)
    match kind:
        case "masked_lm":
            return lm
        case "pretrain":
            return lm.replace(kind="pretrain", dense=dense, dropout=(0.0, pair_drop), labels=2)
        case "pool":
            return HeadSpec("pool", dense=dense)
        case "classify" if classify is not None:
            return classify.replace(labels=labels)
        case "classify":
            return HeadSpec("classify", dense=dense, bias=True, dropout=(0.0, drop), labels=labels)
        case "choice":
            return HeadSpec("choice", dense=dense, bias=True, dropout=(0.0, drop), labels=1)
        case "pair":
            return HeadSpec("pair", dense=dense, bias=True, labels=2)
        case "tag":
            return HeadSpec("tag", bias=True, dropout=(0.0, drop), labels=labels)
        case "span":
            return HeadSpec("span", bias=True, dropout=(0.0, span_drop), labels=2)
    raise ModelError(f"'{kind}' is not a head of an encoder: it may be masked_lm, pretrain, classify, choice, pair, tag or span")


def both_head(kind: str, config: Config, *, lm: HeadSpec) -> HeadSpec:
    """The head of an encoder-decoder: its next word `lm`, or labels that the end-of-text token or every token gives.

    Raises ModelError on a kind that is none of its.
    """
    drop = drop_of(config, "classifier_dropout", default=0.0)
    match kind:
        case "causal_lm":
            return lm
        case "classify":
            return HeadSpec("classify", pool="eos", dense="tanh", bias=True, dropout=(drop, drop), labels=labels_of(config))
        case "tag":
            return HeadSpec("tag", bias=True, dropout=(0.0, drop), labels=labels_of(config))
        case "span":
            return HeadSpec("span", bias=True, labels=2)
    raise ModelError(f"'{kind}' is not a head of an encoder-decoder: it may be causal_lm, classify, tag or span")


def decoder_head(
    kind: str, config: Config, *, tied: bool = False, bias: bool = False, softcap: float | None = None, scale: float = 1.0
) -> HeadSpec:
    """The head of a decoder: its next word, or labels that its last token (`classify`) or every token gives.

    `tied` where the config does not say. Raises ModelError on a kind that is none of a decoder's.
    """
    match kind:
        case "causal_lm":
            tied = bool(read(config, "tie_word_embeddings", default=tied))
            return HeadSpec("causal_lm", tied=tied, bias=bias, softcap=softcap, scale=scale)
        case "classify":
            return HeadSpec("classify", pool="last", labels=labels_of(config))
        case "tag":
            drop = drop_of(config, "classifier_dropout", "hidden_dropout")
            bias = bool(read(config, "token_classification_bias", default=True))
            return HeadSpec("tag", bias=bias, dropout=(0.0, drop), labels=labels_of(config))
        case "span":
            return HeadSpec("span", bias=True, labels=2)
    raise ModelError(f"'{kind}' is not a head of a decoder: it may be causal_lm, classify, tag or span")
