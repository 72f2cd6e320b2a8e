"""One real server: overload, hostile clients and a SIGTERM under load; every request that was accepted is answered right."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskfork.learn.tasks.embed.trained import TrainedEncoder
from maskfork.models.sentence import SentenceEncoder
from tests.deploy.serve.serving import assert_alike
from tests.learn.tiny import make, sentences

TEXTS = sentences(16, 3)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TrainedEncoder(SentenceEncoder(make("bert", "none"))).save(tmp_path_factory.mktemp("served") / "encoder")


class Running:
    def __init__(self, folder: Path, log: Path, *options: str) -> None:
        command = Path(sys.executable).with_name("maskfork")
        words = [str(command), "serve", str(folder), "--port", "0", "--access-log", str(log), *options]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MASKFORK_API_KEYS": "a-key-of-mine"}
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, env=env)
        self.said: list[str] = []
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            found = re.match(r"listening at http://127\.0\.0\.1:(\d+)", line)
            if found:
                self.port = int(found[1])
                break
        else:
            raise AssertionError("".join(self.said))
        threading.Thread(target=lambda: self.said.extend(self.process.stderr or ()), daemon=True).start()

    def ask(self, text: str, connection: http.client.HTTPConnection | None = None) -> tuple[int, bytes]:
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        own.request("POST", "/embed", json.dumps({"inputs": text}), {"authorization": "Bearer a-key-of-mine"})
        answer = own.getresponse()
        return answer.status, answer.read()

    def asks_alike(self, text: str, wanted: tuple[int, bytes]) -> None:
        """Equal to rounding: what else is in the batch changes the last bits."""
        status, body = self.ask(text)
        assert status == wanted[0]
        assert_alike(json.loads(body), json.loads(wanted[1]))

    def raw(self, data: bytes, *, shut: bool = False, most: float = 5.0) -> bytes:
        with socket.create_connection(("127.0.0.1", self.port), timeout=most) as own:
            own.sendall(data)
            if shut:
                own.shutdown(socket.SHUT_WR)
            found = b""
            try:
                while part := own.recv(65536):
                    found += part
            except (TimeoutError, ConnectionResetError):
                return found
            return found


@pytest.fixture
def running(folder: Path, tmp_path: Path) -> Iterator[Running]:
    server = Running(folder, tmp_path / "access.jsonl", "--queue", "24", "--drain", "0.3")
    yield server
    if server.process.poll() is None:
        server.process.kill()
    server.process.wait(10)


def test_hostile_clients_overload_and_sigterm(running: Running, tmp_path: Path) -> None:
    wanted = {text: running.ask(text) for text in TEXTS}
    assert {status for status, _ in wanted.values()} == {200}

    # what no server should stumble over; none of it gets a 5xx, and none of it holds anybody up
    key = b"authorization: Bearer a-key-of-mine\r\n"
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
