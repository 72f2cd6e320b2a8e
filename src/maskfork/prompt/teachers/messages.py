"""What is asked of an endpoint and what comes back: plain values that every file of this folder shares."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple


class Message(NamedTuple):
    """One turn of a chat. `role` is system, user or assistant."""

    role: str
    content: str


class TokenChance(NamedTuple):
    """A token's text and the natural logarithm of its probability."""

    token: str
    logprob: float


class Position(NamedTuple):
    """One generated token: the token taken, and the most likely ones at this place."""

    token: str
    top: tuple[TokenChance, ...]


@dataclass(frozen=True)
class Usage:
    """Tokens by the endpoint's own count."""

    prompt_tokens: int
    completion_tokens: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


@dataclass(frozen=True)
class Request:
    """One chat completion. Two requests that are equal have one answer: it is asked, and paid, once."""

    messages: tuple[Message, ...]
    max_tokens: int = 16
    temperature: float = 0.0
    top_logprobs: int | None = None
    """How many likely tokens to ask for at each place; None asks for none."""
    sample: int = 0
    """Tells draws of the same question apart; it is not sent."""
    schema: str | None = None
    """The JSON schema, as text, that the answer must fit, where the endpoint can hold a model to one."""

    def key(self, url: str, model: str) -> str:
        """SHA-256 of everything that decides the answer: address, model, messages, parameters."""
        content: dict[str, object] = {
            "version": 1,
            "url": url,
            "model": model,
            "messages": [list(m) for m in self.messages],
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_logprobs": self.top_logprobs,
        }
        if self.sample:
            content["sample"] = self.sample
        if self.schema is not None:
            content["schema"] = self.schema
        # ensure_ascii keeps lone surrogates, which UTF-8 refuses, as their escapes.
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode()).hexdigest()

    @property
    def chars(self) -> int:
        """Characters of all messages."""
        return sum(len(m.content) for m in self.messages)

    @property
    def most_prompt_tokens(self) -> int:
        """A bound on the prompt's tokens: byte-level vocabularies never make more tokens than bytes; the rest is for
        the marks that a chat template puts around each message."""
        return 32 + sum(16 + len(m.content.encode("utf-8", "surrogatepass")) for m in self.messages)


Status = Literal["ok", "failed", "unanswered"]


@dataclass(frozen=True)
class Answer:
    """What became of one request.

    `status`: ok; failed (asked, and no answer after all retries); unanswered (never asked, `error` says why).
    `latency_ms` is the time of the one successful call, without waiting and retries; an answer out of the cache keeps
    the latency and the usage it had when it was paid. `usage` is None where the endpoint gave no figures.
    """

    status: Status
    text: str = ""
    error: str | None = None
    usage: Usage | None = None
    latency_ms: float | None = None
    finish: str | None = None
    tokens: tuple[Position, ...] | None = None
    cached: bool = False
    attempts: int = 0

    @property
    def ok(self) -> bool:
        return self.status == "ok"


def took(calls: Sequence[Answer]) -> tuple[float, Usage | None]:
    """Milliseconds (NaN where there is no call, or one is not known) and tokens (None where one is not known) of calls."""
    times = [call.latency_ms for call in calls if call.latency_ms]
    return sum(times) if calls and len(times) == len(calls) else math.nan, sum_of([call.usage for call in calls])


def sum_of(usages: Sequence[Usage | None]) -> Usage | None:
    """None where one is not known."""
    total = Usage(0, 0)
    for usage in usages:
        if usage is None:
            return None
        total += usage
    return total
