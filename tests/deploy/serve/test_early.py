"""A full server on the wire: who is refused early, who is not, and what a connection is worth afterwards."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from maskfork.cli import main
from maskfork.deploy.serve import App, Limits
from maskfork.deploy.serve.house import House
from maskfork.deploy.serve.job import Item
from maskfork.deploy.serve.keys import Keys
from maskfork.deploy.serve.log import AccessLog
from maskfork.deploy.serve.run import config_of
from maskfork.errors import UsageError
from tests.deploy.serve.serving import Slow

KEY = "a-key-of-mine"
LIMITS = Limits(queue=1, body=5000, head_s=0.3)


class Held(Slow):
    """Answers with a text's length, once it may."""

    def answer_as(self, how: Any, items: Sequence[Item]) -> list[Any]:
        return [np.array([float(len(text))]) for text in super().answer_as(how, items)]


@dataclass
class Said:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Line:
    """One connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, *requests: bytes) -> list[Said]:
        """Sent at once; their answers in order."""
        self.writer.write(b"".join(requests))
        return [await self.hear() for _ in requests]

    async def hear(self) -> Said:
        first, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        return Said(int(first.split()[1]), headers, await self.reader.readexactly(int(headers["content-length"])))

    async def ended(self) -> bool:
        return await asyncio.wait_for(self.reader.read(), 5) == b""


def request(path: str = "/embed", body: bytes = b'{"inputs": "more"}', method: str = "POST", **headers: str) -> bytes:
    given = {"host": "here", "authorization": f"Bearer {KEY}", "content-length": str(len(body)), **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in given.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


def get(path: str) -> bytes:
    return request(path, b"", "GET")


Call = Callable[[], Awaitable[Line]]


def full(work: Callable[[Call, App], Awaitable[None]], *others: Held, log: str = "none") -> None:
    """`work` with calls to a server whose model `slow` computes and takes no more."""
    slow = Held()
    app = App(House([slow, *others], LIMITS), Keys([KEY]), AccessLog(log))

    async def run() -> None:
        config = config_of(app, LIMITS)
        config.load()
        state, loop = ServerState(), asyncio.get_running_loop()
        server = await loop.create_server(lambda: config.http_protocol_class(config, state, {}), "127.0.0.1", 0)  # type: ignore[operator]
        port = server.sockets[0].getsockname()[1]
        lines: list[Line] = []

        async def call() -> Line:
            lines.append(Line(*await asyncio.open_connection("127.0.0.1", port)))
            return lines[-1]

        first = asyncio.ensure_future((await call()).ask(request(body=b'{"inputs": "first"}')))
        while not app.house.batchers["slow"].waiting:
            await asyncio.sleep(0.001)
        await work(call, app)
        slow.go.set()
        assert [(said.status, said.json()) for said in await first] == [(200, [[5.0]])]
        for line in lines:
            line.writer.close()
        server.close()

    try:
        asyncio.run(asyncio.wait_for(run(), 20))
    finally:
        slow.go.set()
        app.house.close()


def test_what_comes_before_the_gate_is_said_as_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late = 0
    usual = House.ask

    async def ask(*given: Any, **options: Any) -> Any:
        nonlocal late
        late += 1
        return await usual(*given, **options)

    async def work(call: Call, app: App) -> None:
        monkeypatch.setattr(House, "ask", ask)
        wanted = [
            (request(authorization="Bearer bad"), 401), (request("/nowhere"), 404), (request("/nowhere", authorization=""), 401),
            (request(method="PUT"), 405), (request(method="PUT", authorization=""), 401), (request("/predict"), 404),
            (request(body=b"x" * 6000), 413), (request(body=b"x" * 90_000), 413), (get("/health"), 200), (get("/info"), 200),
        ]  # fmt: skip
        for asked, status in wanted:
            (said,) = await (await call()).ask(asked)
            assert said.status == status, (asked[:80], said)
            assert (said.headers.get("connection") == "close") == (
                asked != request("/predict") and status in (401, 404, 405, 413)
            )
        line = await call()
        (said,) = await line.ask(request(x_request_id="mine-1", x_forwarded_for="10.1.2.3"))
        assert (said.status, said.headers["retry-after"], said.headers["x-request-id"]) == (429, "1", "mine-1")
        assert late == 1  # it is the middleware that knows for whom a proxy asks
        for asked in (request(x_request_id="mine-2"), request(body=b"no JSON"), request("/", b"[" * 4000), request("/embed?a=b")):
            (said,) = await line.ask(asked)
            assert (said.status, said.headers["content-type"]) == (429, "application/json")
            assert said.json() == {"error": "1 texts are waiting already: ask again later", "error_type": "Overloaded"}
        (said,) = await line.ask(request("/v1/embeddings", x_request_id="bad id"))
        assert (said.status, said.json()["error"]["type"]) == (429, "rate_limit_error")
        assert said.headers["x-request-id"] != "bad id"
        assert late == 1
        (said,) = await line.ask(get("/metrics"))
        for path, count in (("/embed", 4), ("/", 1), ("/v1/embeddings", 1)):
            assert f'maskfork_requests_total{{route="{path}",status="429"}} {count}.0\n' in said.body.decode()
        assert 'maskfork_request_seconds_bucket{le="60.0",route="/v1/embeddings"} 1.0\n' in said.body.decode()

    full(work, log=str(tmp_path / "log"))
    notes = {note["id"]: note for note in map(json.loads, (tmp_path / "log").read_text().splitlines())}
    one, two = notes["mine-1"], notes["mine-2"]
    assert (one["client"], two["client"]) == ("10.1.2.3", "127.0.0.1")
    assert [two[name] for name in ("status", "path", "method", "bytes_in", "bytes_out")] == [429, "/embed", "POST", 18, 82]
    assert two["cause"] == "1 texts are waiting already: ask again later"
    assert 10 < two["ms"] < 200
    assert one.keys() == two.keys()


def test_answers_come_in_order_and_the_connection_stays() -> None:
    async def work(call: Call, app: App) -> None:
        line = await call()
        said = await line.ask(request(), get("/health"), request(), request(body=b"x" * 4000), get("/ready"), request())
        assert [one.status for one in said] == [429, 200, 429, 429, 200, 429]
        whole = request(body=b'{"inputs": "' + b"a" * 2000 + b'"}')
        for cut in (10, 60, 500, len(whole) - 1):  # in the head, in the body
            line.writer.write(whole[:cut])
            await asyncio.sleep(0.01)
            assert (await line.ask(whole[cut:]))[0].status == 429
        line.writer.write(request(transfer_encoding="chunked").replace(b"content-length: 18\r\n", b"")[:-18])
        assert (await line.ask(b'12\r\n{"inputs": "more"}\r\n0\r\n\r\n'))[0].status == 429
        line.writer.write(request(expect="100-continue")[:-18])
        assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert (await line.ask(b'{"inputs": "more"}'))[0].status == 429
        asking = asyncio.ensure_future(line.ask(request(), request(), request()))
        await asyncio.sleep(0.005)
        go(app)  # the first of the three is refused already
        said = await asking
        assert [one.status for one in said] == [429, 200, 200]
        assert said[2].json() == [[4.0]]

    full(work)


def test_connections_that_end() -> None:
    async def work(call: Call, app: App) -> None:
        line = await call()
        (said,) = await line.ask(request(connection="close"))
        assert (said.status, said.headers["connection"]) == (429, "close")
        assert await line.ended()
        line = await call()
        (said,) = await line.ask(request().replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (said.status, said.headers["connection"]) == (429, "close")
        assert await line.ended()
        gone = await call()
        gone.writer.write(request())
        await gone.writer.drain()
        gone.writer.close()
        line = await call()
        line.writer.write(request() + b"\x00 nonsense\r\n\r\n")
        assert (await line.hear()).status == 400  # and no answer after it
        assert await line.ended()
        line = await call()
        assert (await line.ask(request()))[0].status == 429
        line.writer.write(request()[:20])  # and no more of it
        assert await line.ended()

    full(work)


def test_a_refusal_leaves_no_garbage_that_must_be_found() -> None:
    """Exceptions that hold themselves were found by the collector of garbage, thousands at a time, a tenth of a second long."""

    async def work(call: Call, app: App) -> None:
        line = await call()

        async def early() -> int:
            return (await line.ask(request()))[0].status

        async def late() -> int:
            line.writer.write(request()[:-3])
            await asyncio.sleep(0.005)
            return (await line.ask(request()[-3:]))[0].status

        for refused in (early, late):
            await refused()
            gc.collect()
            gc.disable()
            try:
                assert [await refused() for _ in range(5)] == [429] * 5
                assert gc.collect() == 0
            finally:
                gc.enable()

    full(work)


def test_a_model_with_room_is_asked_though_another_is_full() -> None:
    other = Held()
    other.name = "other"
    other.go.set()

    async def work(call: Call, app: App) -> None:
        line = await call()
        body = json.dumps({"inputs": "yours", "model": "other"}).encode()
        said = await line.ask(request(body=body), request())
        assert [one.status for one in said] == [200, 429]
        assert said[0].json() == [[5.0]]

    full(work, other)


@pytest.mark.parametrize("begins", [None, lambda self, cycle: None])
def test_a_uvicorn_that_begins_requests_otherwise_is_told_in_a_sentence(
    begins: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else it would be served without early refusals, or not at all, and nobody would know why."""
    if begins is None:
        monkeypatch.delattr(HttpToolsProtocol, "_start_asgi_task")
    else:
        monkeypatch.setattr(HttpToolsProtocol, "_start_asgi_task", begins)
    with pytest.raises(UsageError, match=f"uvicorn {version('uvicorn')} begins requests .*pip install 'uvicorn<="):
        config_of(App(House([], LIMITS)), LIMITS)
    for more in ([], ["--workers", "2"]):
        assert main(["serve", str(tmp_path), *more]) == 2
        assert "begins requests in a way that is not known here" in capsys.readouterr().err


def test_while_the_server_stops_a_refusal_ends_the_connection() -> None:
    async def work(call: Call, app: App) -> None:
        line = await call()
        asking = asyncio.ensure_future(line.ask(request()))
        await asyncio.sleep(0.01)
        app.house.draining = True
        for said in (await asking)[0], (await (await call()).ask(request()))[0]:
            assert (said.status, said.headers["connection"]) == (429, "close")
        assert await line.ended()

    full(work)


def go(app: App) -> None:
    served = app.house.batchers["slow"].served
    assert isinstance(served, Held)
    served.go.set()
