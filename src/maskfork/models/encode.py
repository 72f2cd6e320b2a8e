"""Texts to token ids for a model, with what its limit cuts counted and said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from maskfork.errors import TokenizerError
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer


@dataclass(frozen=True)
class Encoding:
    """Ids and types of each text as the model takes them, and how many tokens the limit cost."""

    ids: list[list[int]]
    types: list[list[int]] | None
    lost: list[int]

    @property
    def lengths(self) -> list[int]:
        return [len(i) for i in self.ids]

    def lost_note(self, limit: int) -> str | None:
        """One sentence on what was cut, or None."""
        cut = sum(1 for n in self.lost if n)
        if not cut:
            return None
        share = sum(self.lost) / max(1, sum(self.lost) + sum(self.lengths))
        return (
            f"{cut} of {len(self.ids)} texts are longer than {limit} tokens: "
            f"{sum(self.lost)} tokens ({share:.1%}) were cut from their ends"
        )


def encode(model: Model, texts: Sequence[str], pairs: Sequence[str] | None = None, limit: int | None = None) -> Encoding:
    """Encode for this model; `limit` in tokens, special ones included, is also bounded by the model's positions.

    Raises TokenizerError where the limit leaves no room beside the special tokens.
    """
    tokenizer = model.tokenizer
    longest = limit_of(model, limit)
    encoded = tokenizer.encode_many(texts, pairs, limit=longest)
    types = [e.types for e in encoded] if wants_types(model) else None
    ids = [e.ids or _nothing(tokenizer) for e in encoded]
    if types is not None:
        types = [t or [0] for t in types]
    return Encoding(ids, types, [e.lost for e in encoded])


def limit_of(model: Model, limit: int | None) -> int | None:
    """The most tokens of one text: the smaller of what is asked and what the model has positions for."""
    limits = [n for n in (limit, model.spec.max_length) if n is not None]
    return min(limits) if limits else None


def wants_types(model: Model) -> bool:
    """Whether the model tells a pair's two texts apart by type."""
    stack = model.spec.encoder or model.spec.decoder
    return stack is not None and stack.embed.types > 1


def _nothing(tokenizer: Tokenizer) -> list[int]:
    """A text without any token (a decoder adds none of its own) is its end-of-text token."""
    for name in ("eos", "bos", "pad", "unk"):
        index = tokenizer.special(name)
        if index is not None:
            return [index]
    raise TokenizerError("a text has no tokens and the tokenizer names no end-of-text token: drop empty texts")
