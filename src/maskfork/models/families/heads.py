"""The usual heads by their usual names, so that a family's file says only where its own differ.

A family's `head` is `encoder_head` or `decoder_head` with its dropouts; its `weights` end with `lm_rules` (the token table and
the language model) and `label_rules` (everything that says a label).
"""

from __future__ import annotations

from collections.abc import Sequence

from maskfork.core.spec import HeadSpec, ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families.family import Config, labels_of, read
from maskfork.models.weights import Rule, Tied, rule

BERT_LM = "cls.predictions."


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
            return lm.replace(kind="pretrain", dense=dense, labels=2)
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


def lm_rules(
    spec: ModelSpec,
    words: str | Sequence[str],
    *,
    out: str = BERT_LM + "decoder.weight",
    dense: str = BERT_LM + "transform.dense.*",
    norm: str = BERT_LM + "transform.LayerNorm.*",
    bias: Sequence[str] = (BERT_LM + "bias", BERT_LM + "decoder.bias"),
    stack: str = "encoder",
) -> tuple[Rule, ...]:
    """The token table `words` and, where the head is a language model, its transform, its matrix `out` and its bias.

    `bias`: its names, of which the reference reads the first where it is tied and the last where it is not.
    """
    head, table = spec.head, f"{stack}.embed.tokens.weight"
    tables = (words,) if isinstance(words, str) else tuple(words)
    if head is None or head.kind not in ("masked_lm", "causal_lm", "pretrain"):
        return (rule(tables, table, Tied()),)
    ours = "head.lm." if head.kind == "pretrain" else "head."
    rules: list[Rule] = []
    if head.transform:
        rules.append(rule(dense, ours + "dense.*"))
    if head.norm:
        rules.append(rule(norm, ours + "norm.*"))
    if head.bias:
        rules.append(rule(bias, ours + "bias", Tied()) if head.tied else rule(tuple(reversed(bias)), ours + "bias"))
    if head.tied:
        return (*rules, rule((*tables, out), table, Tied()))
    return (*rules, rule(tables, table, Tied()), rule(out, ours + "weight"))


def label_rules(
    spec: ModelSpec,
    *,
    pooler: str = "~pooler.dense.*",
    dense: str = "",
    out: str = "classifier.*",
    span: str = "qa_outputs.*",
    pair: str = "cls.seq_relationship.*",
    detect: tuple[str, str] = ("", ""),
) -> tuple[Rule, ...]:
    """The rules of a head that gives labels; none for any other.

    `pooler` is the dense layer of all that read one vector, `dense` (with its `out`) the one of a classifier that has layers of
    its own; `detect` are the two layers of ELECTRA's discriminator.
    """
    kind = spec.head.kind if spec.head else None
    match kind:
        case "pool":
            return (rule(pooler, "head.dense.*"),)
        case "classify" | "choice" | "pair":
            first = dense if kind == "classify" and dense else pooler
            last = pair if kind == "pair" else out
            has_dense = spec.head is not None and spec.head.dense
            return (*([rule(first, "head.pooler.dense.*")] if has_dense else []), rule(last, "head.out.*"))
        case "pretrain":
            return (rule(pooler, "head.pair.pooler.dense.*"), rule(pair, "head.pair.out.*"))
        case "tag":
            return (rule(out, "head.out.*"),)
        case "span":
            return (rule(span, "head.out.*"),)
        case "detect":
            return (rule(detect[0], "head.dense.*"), rule(detect[1], "head.out.*"))
    return ()


def decoder_rules(
    spec: ModelSpec,
    words: str | Sequence[str],
    *,
    lm: str = "lm_head",
    classify: str = "score.*",
    tag: str = "score.*",
    span: str = "qa_outputs.*",
) -> tuple[Rule, ...]:
    """A lone decoder's token table `words` with what reads from it."""
    label = label_rules(spec, out=classify if spec.head and spec.head.kind == "classify" else tag, span=span)
    return (*lm_rules(spec, words, out=f"{lm}.weight", bias=(f"{lm}.bias",), stack="decoder"), *label)
