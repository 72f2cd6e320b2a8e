"""One HTTP connection to a server of models, kept alive. It does little, for its time is taken from the server's cores."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import msgspec

from maskfork.errors import UsageError

#: how each route is asked a text; those of TEI, then OpenAI's
BODIES: dict[str, str] = {
    "/predict": "inputs", "/embed": "inputs", "/rerank": "texts", "/v1/embeddings": "input", "/v1/completions": "prompt",
}  # fmt: skip
WRITES = 32  # tokens that are asked for after a text
WAIT_S = 10.0  # for what a server says of itself
ROUTES = {"classifier": "/predict", "embedding": "/embed", "reranker": "/rerank", "writer": "/v1/completions"}


@dataclass(frozen=True)
class Target:
    """A server's address and how it is asked. `model` is named where OpenAI's route wants one."""

    host: str
    port: int
    route: str
    prefix: str = ""
    tls: bool = False
    key: str | None = None
    model: str | None = None

    def request(self, text: str) -> bytes:
        """The whole request."""
        body: dict[str, Any] = {BODIES[self.route]: [text] if self.route == "/rerank" else text}
        if self.route == "/rerank":
            body["query"] = "what is it about?"
        if self.route.startswith("/v1/"):
            body["model"] = self.model or ""
            body |= {"encoding_format": "base64"} if self.route == "/v1/embeddings" else {"max_tokens": WRITES, "temperature": 0}
        raw = msgspec.json.encode(body)
        head = f"POST {self.prefix}{self.route} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
        key = "" if self.key is None else f"authorization: Bearer {self.key}\r\n"
        return f"{head}{key}content-length: {len(raw)}\r\n\r\n".encode() + raw


class Client:
    """Raises OSError where the server goes away."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._line: _Line | None = None

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """(status, body) of one request."""
        if self._line is None or self._line.over:
            how = ssl.create_default_context() if self.target.tls else None
            loop = asyncio.get_running_loop()
            _, self._line = await loop.create_connection(_Line, self.target.host, self.target.port, ssl=how)
        return await self._line.ask(request)

    def close(self) -> None:
        """Hang up; the next request calls again."""
        if self._line is not None:
            self._line.hang_up()
            self._line = None


class _Line(asyncio.Protocol):
    """A connection, from call to end; `over`: nothing more can be asked."""

    def __init__(self) -> None:
        self.over = False
        self._heard = bytearray()
        self._said: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        self._said.cancel()  # nothing is asked yet

    def ask(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self._said = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._said

    def hang_up(self) -> None:
        self.over = True
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard += data
        if self._said.done() or (answer := _answer(self._heard)) is None:
            return
        status, body, closes = answer
        self._heard.clear()
        if closes:
            self.hang_up()
        self._said.set_result((status, body))

    def connection_lost(self, exc: Exception | None) -> None:
        self.over = True
        if not self._said.done():
            self._said.set_exception(exc if isinstance(exc, OSError) else ConnectionResetError("the server hung up"))


def _answer(heard: bytearray) -> tuple[int, bytes, bool] | None:
    """(status, body, whether the server hangs up), None as long as it is not all there."""
    end = heard.find(b"\r\n\r\n") + 4
    if end < 4:
        return None
    head = bytes(heard[:end]).lower()
    status, closes = int(head[9:12]), b"connection: close" in head
    if b"content-length:" not in head:
        body = _chunks(heard, end)
        return None if body is None else (status, body, closes)
    size = int(head.split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return (status, bytes(heard[end : end + size]), closes) if len(heard) >= end + size else None


def _chunks(heard: bytearray, at: int) -> bytes | None:
    parts: list[bytes] = []
    while (line := heard.find(b"\r\n", at)) >= 0:
        size = int(heard[at:line], 16)
        at = line + 2 + size + 2
        if len(heard) < at:
            return None
        if size == 0:
            return b"".join(parts)
        parts.append(bytes(heard[line + 2 : at - 2]))
    return None


async def find_target(url: str, route: str | None, key: str | None, model: str | None) -> Target:
    """The server at a URL, asked by `route`, or by the one that its GET /info tells of.

    Raises UsageError where it cannot be reached, or gives no sign of what it serves.
    """
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url} is no address of a server: give one like http://127.0.0.1:8080")
    tls = parts.scheme == "https"
    target = Target(parts.hostname, parts.port or (443 if tls else 80), route or "", parts.path.rstrip("/"), tls, key, model)
    if route is not None:
        if route not in BODIES:
            raise UsageError(f"there is no route {route!r} that is known here: choose from {', '.join(BODIES)}")
        return target
    auth = "" if key is None else f"authorization: Bearer {key}\r\n"
    client = Client(target)
    try:
        async with asyncio.timeout(WAIT_S):
            status, body = await client.post(f"GET {target.prefix}/info HTTP/1.1\r\nhost: {target.host}\r\n{auth}\r\n".encode())
    except TimeoutError as error:
        raise UsageError(f"{url} says nothing for {WAIT_S:g} s: see that it is a server of models, and not busy") from error
    except OSError as error:
        raise UsageError(f"nobody answers at {url} ({error}): start the server first, or check the address") from error
    finally:
        client.close()
    try:
        kinds = msgspec.json.decode(body)["model_type"] if status == 200 else {}
    except (msgspec.DecodeError, KeyError, TypeError):
        kinds = {}
    found = next((ROUTES[kind] for kind in kinds if kind in ROUTES), None)
    if found is None:
        raise UsageError(f"{url}/info does not tell what is served (status {status}): name the route, as --route /v1/embeddings")
    return Target(target.host, target.port, found, target.prefix, tls, key, model)
