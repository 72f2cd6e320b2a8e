"""One HTTP connection to a server of models, kept alive. It does little, for its time is taken from the server's cores."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

from maskfork.errors import UsageError

#: how each route is asked a text; those of TEI, then OpenAI's
BODIES: dict[str, str] = {"/predict": "inputs", "/embed": "inputs", "/rerank": "texts", "/v1/embeddings": "input"}
ROUTES = {"classifier": "/predict", "embedding": "/embed", "reranker": "/rerank"}


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
            body |= {"model": self.model or "", "encoding_format": "base64"}
        raw = msgspec.json.encode(body)
        head = f"POST {self.prefix}{self.route} HTTP/1.1\r\nhost: {self.host}\r\ncontent-type: application/json\r\n"
        key = "" if self.key is None else f"authorization: Bearer {self.key}\r\n"
        return f"{head}{key}content-length: {len(raw)}\r\n\r\n".encode() + raw


class Client:
    """Raises OSError, asyncio.IncompleteReadError where the server goes away."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes) -> tuple[int, bytes]:
        """(status, body) of one request."""
        if self._streams is None:
            how = ssl.create_default_context() if self.target.tls else None
            self._streams = await asyncio.open_connection(self.target.host, self.target.port, ssl=how)
        reader, writer = self._streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if b"content-length:" in head:
            body = await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        else:
            body = await _chunks(reader)
        if b"connection: close" in head:
            self.close()
        return int(head[9:12]), body

    def close(self) -> None:
        """Hang up; the next request calls again."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    parts = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        parts.append((await reader.readexactly(size + 2))[:-2])
    await reader.readexactly(2)
    return b"".join(parts)


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
        status, body = await client.post(f"GET {target.prefix}/info HTTP/1.1\r\nhost: {target.host}\r\n{auth}\r\n".encode())
    except (OSError, asyncio.IncompleteReadError) as error:
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
