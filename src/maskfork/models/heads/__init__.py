"""What is read from the last hidden state: the next or the masked token, a vector or a label of a sequence, of a token."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from maskfork.core.spec import HeadKind, HeadSpec, ModelSpec
from maskfork.models.heads.language import LanguageModelHead, PretrainHead
from maskfork.models.heads.marks import marked
from maskfork.models.heads.read import Read
from maskfork.models.heads.sequence import ChoiceHead, ClassifyHead, PoolHead, pool
from maskfork.models.heads.token import DetectHead, SpanHead, TagHead, question

HEADS: dict[HeadKind, Callable[[HeadSpec, ModelSpec], nn.Module]] = {
    "masked_lm": LanguageModelHead,
    "causal_lm": LanguageModelHead,
    "pretrain": PretrainHead,
    "classify": ClassifyHead,
    "choice": ChoiceHead,
    "pair": ClassifyHead,
    "tag": TagHead,
    "span": SpanHead,
    "detect": DetectHead,
    "pool": PoolHead,
}


def build_head(head: HeadSpec, spec: ModelSpec) -> nn.Module:
    """The module of a head's spec: `head(states [B, S, E], Read(...))` gives what it read by the names of `Output`."""
    made = HEADS[head.kind](head, spec)
    if head.spare_pooler:
        made.spare = nn.Linear(spec.hidden_size, spec.hidden_size)
    return made


__all__ = ["HEADS", "ClassifyHead", "LanguageModelHead", "PoolHead", "Read", "build_head", "marked", "pool", "question"]
