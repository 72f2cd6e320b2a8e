"""HTTP over raw ASGI: a request's body within its limits, answers, and whether the client is still there."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeVar

import msgspec

from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.refused import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
T = TypeVar("T")

ID = re.compile(rb"[\x21-\x7e]{1,128}")  # a request id that is taken over into headers and the log
PATIENCE = 4  # of a body that is too large, this many times the limit is read and thrown away, so that the answer is seen
JSON = b"application/json"
WHOLE = "maskfork.whole"  # the connection's extension that writes an answer in one piece
PROCESS = secrets.token_hex(6).encode()  # begins the ids of this process's requests
WATCH_S = 0.2  # a request that waits longer is asked whether its client is still there
_numbers = count(1)


class Gone(Exception):  # noqa: N818 (it says what happened)
    """The client went away."""


@dataclass
class Answer:
    """`body` whole, or in pieces as they come."""

    body: bytes | AsyncIterator[bytes]
    status: int = 200
    kind: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)


class Request:
    """`note` goes into the access log: never a text."""

    def __init__(self, scope: Scope, receive: Receive, limits: Limits) -> None:
        self.scope, self._receive, self._limits = scope, receive, limits
        self.method, self.path = scope["method"], scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id", b"")
        self.id = given if given and ID.fullmatch(given) else b"%s-%x" % (PROCESS, next(_numbers))
        self.note: dict[str, Any] = {}
        self._gone = False

    async def body(self) -> bytes:
        """Raises Refused (413, 408), Gone."""
        most = self._limits.body
        try:
            async with asyncio.timeout(self._limits.body_s):
                size = int(self.headers.get(b"content-length", b"0"))
                if size > most:
                    if size <= PATIENCE * most:
                        await self._drop(size)
                    raise _large(most)
                return await self._read(most)
        except TimeoutError:
            late = f"the request did not arrive within {self._limits.body_s:g} s: send it faster"
            raise Refused(408, late, close=True) from None

    async def _read(self, most: int) -> bytes:
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await self._message()
            part, more = message.get("body", b""), message.get("more_body", False)
            size += len(part)
            if size <= most:
                parts.append(part)
            elif size > PATIENCE * most:
                break
        if size > most:
            raise _large(most)
        self.note["bytes_in"] = size
        return b"".join(parts)

    async def _drop(self, size: int) -> None:
        more = True
        while more and size > 0:
            message = await self._message()
            size -= len(message.get("body", b""))
            more = message.get("more_body", False)

    async def _message(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise Gone
        return message

    async def unless_gone(self, future: asyncio.Future[T]) -> T:
        """What the future brings; raises Gone as soon as the client goes away, and the future is cancelled then.

        The client is watched from `WATCH_S` on: most answers come before, and are spared a task of their own.
        """
        watching: list[asyncio.Task[None]] = []
        timer = future.get_loop().call_later(WATCH_S, lambda: watching.append(asyncio.ensure_future(self._watch(future))))
        try:
            return await future
        except asyncio.CancelledError:
            if self._gone:
                raise Gone from None
            raise
        finally:
            timer.cancel()
            for task in watching:
                task.cancel()

    async def _watch(self, future: asyncio.Future[T]) -> None:
        await self.leaves()
        self._gone = True
        future.cancel()

    async def leaves(self) -> None:
        """Ends as the client goes away."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def json(self, body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
        """Raises Refused: 400 for what is no JSON, 422 for JSON of another shape."""
        try:
            return decoder.decode(body)
        except msgspec.ValidationError as error:
            raise Refused(422, _sentence(error)) from error
        except (ValueError, RecursionError) as error:  # msgspec's DecodeError and UnicodeDecodeError are ValueErrors
            raise Refused(400, f"the body is no JSON ({_sentence(error)})") from error


def refusal(request: Request, refused: Refused) -> Answer:
    """As the API that was asked says it."""
    request.note["cause"] = refused.sentence
    said = msgspec.json.encode(refused.said(request.path.startswith("/v1/")))
    return Answer(said, refused.status, headers=refused.headers())


def heads(answer: Answer, request: Request, *, close: bool) -> list[tuple[bytes, bytes]]:
    """An answer's headers."""
    found = [(b"content-type", answer.kind), (b"x-request-id", request.id), *answer.headers]
    if isinstance(answer.body, bytes):
        found.append((b"content-length", b"%d" % len(answer.body)))
    if close:
        found.append((b"connection", b"close"))
    return found


async def reply(send: Send, answer: Answer, request: Request, *, close: bool) -> int:
    """Send an answer; how many bytes its body had."""
    headers = heads(answer, request, close=close)
    whole = request.scope.get("extensions", {}).pop(WHOLE, None)  # popped: it holds the scope that holds it
    if isinstance(answer.body, bytes):
        body = b"" if request.method == "HEAD" else answer.body
        if whole is not None:
            await whole(answer.status, headers, body)
            return len(body)
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return len(body)
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    size = 0
    async for piece in answer.body:
        size += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
    return size


def _large(most: int) -> Refused:
    return Refused(413, f"the request has more than {most:,} bytes: send less at once", close=True)


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    return (text[:1].lower() + text[1:])[:300] or type(error).__name__
