"""Reads what an endpoint sent: a chat completion, or the reason for a refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from maskfork.prompt.teachers.messages import Position, TokenChance, Usage

Kind = Literal["rate", "server", "timeout", "cut", "garbled", "unreachable", "row", "denied", "wrong"]
"""rate, server, timeout, cut, garbled: worth another try. unreachable: no connection. row: this request is refused,
others may not be. denied: no call will succeed. wrong: no call will succeed, unless one has before."""


@dataclass(frozen=True)
class Reply:
    """A chat completion."""

    text: str
    usage: Usage | None
    finish: str | None
    tokens: tuple[Position, ...] | None
    latency_ms: float
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trouble:
    """A call without an answer. `maybe_billed`: the endpoint may have done the work before the answer was lost."""

    kind: Kind
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)
    maybe_billed: bool = False


class _Message(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"null")


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int = 0


class _Completion(msgspec.Struct):
    choices: list[_Choice]
    usage: msgspec.Raw = msgspec.Raw(b"null")


class _Token(msgspec.Struct):
    token: str
    logprob: float


class _Position(msgspec.Struct):
    token: str
    top_logprobs: list[_Token] = []


class _Logprobs(msgspec.Struct):
    content: list[_Position] | None = None


def read_completion(body: bytes, latency_ms: float, headers: Mapping[str, str]) -> Reply | Trouble:
    """The first choice of a chat completion, or what is wrong with the body."""
    if body.lstrip()[:1] == b"<":
        return Trouble("wrong", "it answered with a web page, not with a chat completion", headers)
    try:
        completion = msgspec.json.decode(body, type=_Completion)
        choice = completion.choices[0]
    except (msgspec.DecodeError, UnicodeDecodeError, IndexError):
        said, _, _ = read_refusal(body)
        shown = said or body[:80].decode("utf-8", "replace")
        return Trouble("garbled", f"its answer was not a chat completion: {shown!r}", headers, maybe_billed=True)
    text = choice.message.content or choice.message.refusal or ""
    return Reply(text, _usage(completion.usage), choice.finish_reason, _tokens(choice.logprobs), latency_ms, headers)


def _usage(raw: msgspec.Raw) -> Usage | None:
    try:
        found = msgspec.json.decode(raw, type=_Usage | None)
    except msgspec.ValidationError:
        return None  # counted and said by the ledger as an answer without figures
    return Usage(found.prompt_tokens, found.completion_tokens) if found else None


def _tokens(raw: msgspec.Raw) -> tuple[Position, ...] | None:
    try:
        found = msgspec.json.decode(raw, type=_Logprobs | None)
    except msgspec.ValidationError:
        return None  # another layout than OpenAI's; the classifier says for how many rows it had no probabilities
    if found is None or not found.content:
        return None
    return tuple(Position(p.token, tuple(TokenChance(t.token, t.logprob) for t in p.top_logprobs)) for p in found.content)


def read_refusal(body: bytes) -> tuple[str, str | None, str | None]:
    """(message, code, param) of an error body in one of the usual layouts; empty and None where there is none."""
    try:
        data = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", None, None
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, str):
        return error, None, None
    if not isinstance(error, dict):
        return "", None, None
    message = next((error[k] for k in ("message", "detail", "msg") if error.get(k)), "")
    message = message if isinstance(message, str) else msgspec.json.encode(message).decode()
    code, param = error.get("code") or error.get("type"), error.get("param")
    return message, str(code) if code is not None else None, str(param) if param is not None else None
