"""What a route is, and what all of them share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.http import JSON, Answer, Request
from maskfork.deploy.serve.job import Done
from maskfork.deploy.serve.served import Kind

Run = Callable[[House, Request, Any], Awaitable[Answer]]
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True)
class Route:
    """`body` and `gives` are the types of what comes in and goes out (None: nothing, text; a tuple: one of these).

    A body of one of several types comes as it is (`msgspec.Raw`), and `run` knows which one it must be. The OpenAPI document is
    made of them.
    """

    method: str
    path: str
    run: Run
    line: str
    body: Any = None
    gives: Any = None
    free: bool = False  # asked without a key
    streams: bool = False
    asks: Sequence[Kind] = ()  # of the models whose gate a request comes to
    decoder: msgspec.json.Decoder[Any] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.body is not None:
            kind = msgspec.Raw if isinstance(self.body, tuple) else self.body
            object.__setattr__(self, "decoder", msgspec.json.Decoder(kind))


def answer_of(value: Any, done: Done | None = None, status: int = 200) -> Answer:
    """A value as JSON; what was read, and what was not, in headers."""
    return Answer(_encoder.encode(value), status, JSON, [] if done is None else headers_of(done.tokens, done.lost))


def headers_of(tokens: Sequence[int], lost: Sequence[int]) -> list[tuple[bytes, bytes]]:
    """`x-tokens`, and where texts were cut `x-truncated-texts` and `x-truncated-tokens`."""
    found = [(b"x-tokens", b"%d" % sum(tokens))]
    cut = sum(1 for n in lost if n)
    if cut:
        found += [(b"x-truncated-texts", b"%d" % cut), (b"x-truncated-tokens", b"%d" % sum(lost))]
    return found
