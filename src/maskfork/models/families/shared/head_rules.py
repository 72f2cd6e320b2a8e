"""The names that the usual heads have in folders: `lm_rules` for the token table and the language model, `label_rules` for all
that say a label.
"""

from __future__ import annotations

from collections.abc import Sequence

from maskfork.core.spec import ModelSpec
from maskfork.models.weights import Rule, Tied, rule

BERT_LM = "cls.predictions."


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

    `bias`: its names, of which the reference reads the first where it is tied and the last where it is not; none where the
    family has a rule of its own for it.
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
    if head.bias and bias:
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
