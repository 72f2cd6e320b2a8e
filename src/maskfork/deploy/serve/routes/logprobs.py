"""Log probabilities, as /v1/completions and as /v1/chat/completions have them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from maskfork.models.tokenizers import Tokenizer
from maskfork.prompt.generate.engine import Said

Others = Sequence[tuple[int, float | None]]
"""The likeliest tokens at a place, and their log probabilities."""


class LogProbs(msgspec.Struct):
    """Of /v1/completions; None before the first token, and where a probability is none."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float | None] | None]
    text_offset: list[int]


class Top(msgspec.Struct):
    token: str
    logprob: float | None
    bytes: list[int]


class Entry(msgspec.Struct):
    """Of /v1/chat/completions, a token each."""

    token: str
    logprob: float | None
    bytes: list[int]
    top_logprobs: list[Top]


def table(tokenizer: Tokenizer, tokens: Sequence[int], logps: Sequence[float | None], best: Sequence[Others]) -> LogProbs:
    """All tokens that are shown; a token that is part of a character is written as its vocabulary writes it."""
    words = [_word(tokenizer, token) for token in tokens]
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word)
    tops: list[dict[str, float | None] | None] = [
        None if logp is None else {_word(tokenizer, token): p for token, p in own} for logp, own in zip(logps, best, strict=True)
    ]
    return LogProbs(words, list(logps), tops, starts)


def entries(tokenizer: Tokenizer, said: Sequence[Said]) -> list[Entry]:
    """Of what was written."""

    def shown(token: int, logp: float | None) -> tuple[str, float | None, list[int]]:
        word = _word(tokenizer, token)
        return word, logp, list(word.encode())

    return [Entry(*shown(one.token, one.logprob), [Top(*shown(*own)) for own in one.others]) for one in said]


def _word(tokenizer: Tokenizer, token: int) -> str:
    text = tokenizer.decode([token], skip_special=False)
    return tokenizer.token(token) if "\ufffd" in text else text
