"""One real server: overload, hostile clients and a SIGTERM under load; every request that was accepted is answered right."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from maskfork.cli import main
from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.models.sentence import SentenceEncoder
from tests.deploy.serve.running import KEY, Running
from tests.learn.tiny import make, sentences

TEXTS = sentences(16, 3)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TrainedEncoder(SentenceEncoder(make("bert", "none"))).save(tmp_path_factory.mktemp("served") / "encoder")


@pytest.fixture
def running(folder: Path, tmp_path: Path) -> Iterator[Running]:
    server = Running(folder, tmp_path / "access.jsonl", "--queue", "24", "--drain", "0.3")
    yield server
    server.end()


def test_hostile_clients_overload_and_sigterm(running: Running, tmp_path: Path) -> None:
    wanted = {text: running.ask(text) for text in TEXTS}
    assert {status for status, _ in wanted.values()} == {200}

    # what no server should stumble over; none of it gets a 5xx, and none of it holds anybody up
    key = f"authorization: Bearer {KEY}\r\n".encode()
    head = b"POST /embed HTTP/1.1\r\nhost: here\r\n"
    wrong = [
        head + b"content-length: 20\r\n\r\n" + b'{"inputs": "aaaaaa"}',  # no key
        head + key + b"content-length: 5\r\nconnection: close\r\n\r\n{{{{{",
        head + key + b"content-length: -5\r\n\r\n",
        head + key + b"content-length: 999999999999\r\n\r\n",
        head + key + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"\x00\xff\x16\x03 nonsense\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: here\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: here\r\nx: " + b"y" * 200_000,
    ]
    for data in wrong:
        said = running.raw(data, shut=True)
        assert not said.startswith(b"HTTP/1.1 5"), (data[:60], said[:200])
    half = socket.create_connection(("127.0.0.1", running.port))
    half.sendall(head + key + b"content-length: 1000\r\n\r\n{")  # and no more
    for _ in range(20):  # asks and leaves
        gone = socket.create_connection(("127.0.0.1", running.port))
        gone.sendall(head + key + b"content-length: 20\r\n\r\n" + b'{"inputs": "bbbbbb"}')
        gone.close()
    running.asks_alike(TEXTS[0], wanted[TEXTS[0]])
    half.close()

    # the models are opened anew while somebody asks
    running.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + 20
    while not any("opened anew" in line for line in running.said):
        running.asks_alike(TEXTS[1], wanted[TEXTS[1]])
        assert time.monotonic() < end

    # more clients than the queue takes, then SIGTERM while they ask
    found: list[tuple[str, int, bytes]] = []
    lost: list[str] = []
    term = threading.Event()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=20)
        for i in range(2000):
            text = TEXTS[(number + i) % len(TEXTS)]
            before = term.is_set()
            try:
                found.append((text, *running.ask(text, connection)))
            except (ConnectionRefusedError, http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
                if not before:
                    lost.append(repr(error))
                return
            except OSError as error:
                lost.append(repr(error))
                return

    threads = [threading.Thread(target=client, args=(n,)) for n in range(40)]
    for one in threads:
        one.start()
    time.sleep(0.8)
    term.set()
    running.process.send_signal(signal.SIGTERM)
    for one in threads:
        one.join(30)
    assert running.process.wait(15) == 0
    assert lost == []
    assert {status for _, status, _ in found} <= {200, 429}
    answered = [(text, body) for text, status, body in found if status == 200]
    assert len(answered) > 40
    for text, body in answered:
        (vector,), (own,) = json.loads(body), json.loads(wanted[text][1])
        assert vector == pytest.approx(own, abs=1e-5)

    notes = [json.loads(line) for line in (tmp_path / "access.jsonl").read_text().splitlines()]
    assert sum(1 for note in notes if note["status"] == 200) >= len(answered)
    assert not any(note["status"] >= 500 for note in notes)
    assert not any(text in json.dumps(notes) for text in TEXTS)  # the log holds no text
    assert not any("Traceback" in line for line in running.said)


@pytest.mark.slow
def test_workers_share_a_port_and_what_dies_is_started_anew(folder: Path, tmp_path: Path) -> None:
    server = Running(folder, tmp_path / "access.jsonl", "--workers", "2", "--drain", "0.2")
    try:
        wanted = {text: server.ask(text) for text in TEXTS}
        for _ in range(3):
            for text in TEXTS:
                server.asks_alike(text, wanted[text])
        asked = re.findall(r'maskfork_requests_total\{route="/embed",status="200"\} (\d+)', server.ask_for("/metrics"))
        assert sum(map(int, asked)) == 4 * len(TEXTS)  # of both workers
        children = psutil.Process(server.process.pid).children()
        workers = [one for one in children if "spawn_main" in " ".join(one.cmdline())]
        assert len(workers) == 2
        workers[0].kill()
        server.hears("another one is started")
        server.process.send_signal(signal.SIGHUP)
        server.hears("opened anew")
        server.asks_alike(TEXTS[0], wanted[TEXTS[0]])
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert not any(one.is_running() for one in workers)
    finally:
        server.end()


@pytest.mark.slow
def test_a_worker_that_cannot_begin_ends_the_server_in_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("maskfork")), "serve", str(tmp_path), "--port", "0", "--workers", "2"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode not in (0, None)
    assert "Traceback" not in done.stderr
    assert str(tmp_path) in done.stderr


def test_a_reload_that_comes_too_early_ends_nothing(folder: Path) -> None:
    """`systemctl reload` while the models are still being opened."""
    words = [str(Path(sys.executable).with_name("maskfork")), "serve", str(folder), "--port", "0", "--access-log", "none"]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "encoder: embedding\n"
        process.send_signal(signal.SIGHUP)
        assert "listening at" in process.stderr.readline()
        process.terminate()
        assert process.wait(20) == 0


def test_a_port_that_is_taken_is_told_before_a_model_is_opened(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", str(folder), "--port", str(port)]) == 2
    assert capsys.readouterr().err.endswith("cannot be listened at (Address already in use): give another --port\n")
