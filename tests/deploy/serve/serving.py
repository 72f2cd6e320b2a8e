"""Small models on disk, and clients for a server in this process."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from maskfork.deploy.serve.app import App
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.limits import Limits
from maskfork.deploy.serve.served import open_served
from maskfork.deploy.serve.served.served import Served
from tests.learn.tiny import sentences

T = TypeVar("T")
TEXTS = sentences(12, 5)[0]
LONG = "film story " * 200


def house_of(limits: Limits | None = None, **places: Path) -> House:
    return House([open_served(name, str(place)) for name, place in places.items()], limits or Limits())


def talk(app: App, work: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    """`work` with a client of the application, in a loop of its own."""

    async def run() -> T:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            return await asyncio.wait_for(work(client), 30)

    return asyncio.run(run())


def post(app: App, path: str, body: Any, **options: Any) -> httpx.Response:
    kind = {"content": body} if isinstance(body, bytes) else {"json": body}

    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(path, **kind, **options)

    return talk(app, one)


def get(app: App, path: str, **options: Any) -> httpx.Response:
    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await client.get(path, **options)

    return talk(app, one)


class Slow(Served):
    """Answers each text with itself, a token a letter; `go` lets it work, `passes` are what it was given at once."""

    kind = "embedding"

    def __init__(self) -> None:
        super().__init__("slow", Path("slow"), self._rows)
        self.go = threading.Event()
        self.passes: list[list[str]] = []

    def begin(self) -> None:
        """No model, no threads."""

    def read_as(self, how: Any, rows: Sequence[Any]) -> list[Item]:
        return [Item(row["text"], len(row["text"])) for row in rows]

    def answer_as(self, how: Any, items: Sequence[Item]) -> list[Any]:
        assert self.go.wait(20)
        self.passes.append([item.what for item in items])
        if any("poison" in item.what for item in items):
            raise RuntimeError("poisoned")
        return [item.what for item in items]

    def _rows(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        return [{"text": row["text"], "tokens_lost": 0} for row in rows]


def assert_alike(said: Any, wanted: Any) -> None:
    """Equal, numbers to the rounding of another number of threads."""
    if isinstance(wanted, dict):
        assert said.keys() == wanted.keys()
        for key, value in wanted.items():
            assert_alike(said[key], value)
    elif isinstance(wanted, list):
        assert len(said) == len(wanted)
        for one, other in zip(said, wanted, strict=True):
            assert_alike(one, other)
    else:
        assert said == (pytest.approx(wanted, abs=1e-5) if isinstance(wanted, float) else wanted)
