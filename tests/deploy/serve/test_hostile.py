"""Ten thousand requests that nobody should send: none ends in an error of the server's, none holds it up, none learns a path.

Made three ways: from the OpenAPI document (schemathesis, right and wrong ones), by spoiling right requests, and on bare sockets.
"""

from __future__ import annotations

import http.client
import json
import random
import socket
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from maskfork.deploy.serve import App, Limits
from tests.deploy.serve.hostile import RIGHT, check_told, folders_in, spoilt
from tests.deploy.serve.running import KEY, Running
from tests.deploy.serve.serving import house_of, talk

SIZES = {"body": 20_000, "texts": 32, "queue": 128}


def test_requests_that_are_spoilt_one_way_or_another(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Some of each kind, in this process; the slow tests below send thousands over the wire."""
    app, rng, statuses = App(house_of(Limits(**SIZES), **folders_in(tmp_path))), random.Random(2), Counter[int]()

    async def ask(client: httpx.AsyncClient) -> None:
        for path, right in RIGHT.items():
            for number in range(10):
                body = spoilt(rng, right) if number else b"x" * 30_000
                said = await client.post(path, content=body)
                statuses[said.status_code] += 1
                check_told(said.status_code, said.text, (path, body[:300]))

    talk(app, ask)
    assert set(statuses) <= {200, 400, 404, 413, 422}
    assert min(statuses[status] for status in (200, 400, 413, 422)) >= 15
    assert "Traceback" not in capfd.readouterr().err


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    root = tmp_path_factory.mktemp("hostile")
    first, *others = map(str, folders_in(root).values())
    options = ["--max-body", str(SIZES["body"]), "--max-texts", str(SIZES["texts"]), "--queue", str(SIZES["queue"])]
    running = Running(Path(first), root / "access.jsonl", *others, *options)
    yield running
    running.end()


@pytest.mark.slow
def test_what_the_document_allows_and_what_it_does_not(server: Running) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    held = [
        not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]
    headers = {"authorization": f"Bearer {KEY}"}
    document = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json", headers=headers)
    seen: Counter[int] = Counter()
    operations = [found.ok() for found in document.get_all_operations()]
    assert {one.path for one in operations if one.method == "post"} == set(RIGHT)
    for operation in operations:
        posts = operation.method == "post"
        for mode in list(GenerationMode) if posts else [GenerationMode.POSITIVE]:
            count = 60 if posts else 3

            @settings(
                max_examples=count, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )  # fmt: skip
            @given(case=operation.as_strategy(generation_mode=mode))
            def ask(case: Any) -> None:
                said = case.call(headers=headers, timeout=30)
                seen[said.status_code] += 1
                check_told(said.status_code, said.text, (case.method, case.path, case.body, server.said[-12:]))
                case.validate_response(said, checks=held)

            ask()
    assert seen[200] > 100
    assert seen[422] + seen[400] > 300


@pytest.mark.slow
def test_right_requests_with_something_wrong(server: Running) -> None:
    rng, statuses = random.Random(0), Counter[int]()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    paths = list(RIGHT)
    for number in range(9_000):
        path = rng.choice(paths)
        body = spoilt(rng, RIGHT[path]) if number % 50 else b"x" * rng.randint(15_000, 90_000)
        key = KEY if number % 11 else rng.choice(["", "wrong-key-here", KEY[:-1], "é"])
        headers = {"authorization": f"Bearer {key}".encode()}
        method = "POST" if number % 97 else rng.choice(["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
        try:
            end = "" if number % 31 else rng.choice(["/", "/x", "?a=b", "%00", "/../.."])
            connection.request(method, path + end, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):  # too much was sent: it does not listen
            assert len(body) > 20_000
            connection.close()
            continue
        statuses[answer.status] += 1
        check_told(answer.status, text, (path, body[:300], server.said[-12:]))
        if number % 11 == 0:
            assert answer.status in (401, 404, 405), (path, answer.status)
    assert sum(statuses.values()) > 8_500
    assert set(statuses) <= {200, 400, 401, 404, 405, 413, 422}
    assert {200, 400, 401, 413, 422} <= set(statuses)


@pytest.mark.slow
def test_sockets_that_are_half_closed_slow_or_full_of_noise(server: Running) -> None:
    rng, process = random.Random(1), psutil.Process(server.process.pid)
    body = json.dumps(RIGHT["/embed"]).encode()
    head = f"POST /embed HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {KEY}\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
    whole = head + body
    slowly = head.removesuffix(b"\r\n") + b"x: " + b"y" * 1000  # and so on: a head without an end
    hangs: list[bytes] = []
    for number in range(1_000):
        cut = whole[: rng.randrange(1, len(whole))]
        noise = bytearray(whole)
        for _ in range(rng.randint(1, 6)):
            noise[rng.randrange(len(noise))] = rng.randrange(256)
        data = [cut, bytes(noise), whole + whole[:50], rng.randbytes(200)][number % 4]
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as own:
            try:
                own.sendall(data)
                if number % 3:
                    own.shutdown(socket.SHUT_WR)
                    check_told(*_status(own.recv(65536)))
            except TimeoutError:
                hangs.append(data)
            except (ConnectionResetError, BrokenPipeError):
                pass
        if number % 10 == 0:
            for one in slow:  # slow-loris: a byte now and then
                _try(one, slowly[number // 10 : number // 10 + 1])
            began = time.monotonic()
            assert server.ask("a film")[0] == 200
            assert time.monotonic() - began < 5
    time.sleep(12)  # longer than the head of a request may take
    assert hangs == []
    assert all(_closed(one) for one in slow)
    assert process.num_fds() < 200
    assert process.memory_info().rss < 1.5e9
    assert server.ask("a film")[0] == 200
    assert not any("Traceback" in line for line in server.said), server.said[-20:]


def _status(data: bytes) -> tuple[int, str]:
    return (int(data[9:12]) if data.startswith(b"HTTP/1.1 ") else 0), data.decode(errors="replace")


def _try(own: socket.socket, data: bytes) -> None:
    try:
        own.send(data)
    except OSError:
        assert own.fileno() >= 0  # the server has closed it: that is what it should do


def _closed(own: socket.socket) -> bool:
    own.settimeout(5)
    try:
        return own.recv(10) == b""
    except ConnectionResetError:
        return True
    finally:
        own.close()
