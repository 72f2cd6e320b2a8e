"""Texts that are longer than a model reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from maskfork.learn.data.audit.finding import Finding, told
from maskfork.learn.data.audit.material import Material

if TYPE_CHECKING:
    from maskfork.models.model import Model

CHECK = "length"
USUAL = 512  # tokens that the encoders of BERT's kind read
_TOKENS_A_CHARACTER = 0.25  # of English prose, by the vocabularies of BERT, RoBERTa and GPT-2
_WORDLESS = 0.7  # of scripts without blanks

Count = Callable[[Sequence[str], Sequence[str] | None], list[int]]
"""Tokens of each text (or pair), special ones included, before anything is cut."""


def token_counter(model: Model) -> Count:
    """Counts with the model's own tokenizer."""
    return lambda texts, pairs: [len(one.ids) for one in model.tokenizer.encode_many(list(texts), pairs)]


def estimate(texts: Sequence[str], pairs: Sequence[str] | None) -> list[int]:
    """About how many tokens, without a model: a quarter of the characters, more for scripts without blanks."""
    sides = [*zip(texts, pairs, strict=True)] if pairs is not None else [(text,) for text in texts]
    return [3 + round(sum(_guess(side) for side in pair)) for pair in sides]


def _guess(text: str) -> float:
    wide = 0 if text.isascii() else sum("\u2e80" <= sign <= "\uffef" or "\u0e00" <= sign <= "\u0e7f" for sign in text)
    return (len(text) - wide) * _TOKENS_A_CHARACTER + wide * _WORDLESS


def long_texts(material: Material, count: Count, limit: int, counted: bool) -> Finding | None:
    """Rows over `limit` tokens, longest first; `counted` says that a tokenizer counted and nobody guessed."""
    sizes = count(material.texts, material.pairs)
    long = sorted((i for i, size in enumerate(sizes) if size > limit), key=lambda i: -sizes[i])
    if not long:
        return None
    lost = sum(sizes[i] - limit for i in long)
    how = "tokens" if counted else "tokens, estimated from the characters (--model counts them)"
    return Finding(
        check=CHECK,
        level="warning",
        title=(
            f"{told(len(long), 'row', 'is', 'are')} longer than {limit:,} {how}: "
            f"{lost:,} tokens ({lost / max(1, sum(sizes)):.1%} of all) would not be read."
        ),
        advice="Choose what becomes of them (--on-long head+tail or chunk), a model with more room, or shorter texts.",
        count=len(long),
        total=len(material),
        rows=[material.hit(i, amount=float(sizes[i])) for i in long],
    )
