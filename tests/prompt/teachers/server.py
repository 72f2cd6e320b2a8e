"""A chat endpoint of the tests' own: it answers, refuses, stalls, cuts and babbles on command, and counts."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Call:
    """A request as it came in: `nth` counts from 0 over all, `same` over those with the same messages."""

    nth: int
    same: int
    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    in_flight: int

    @property
    def last(self) -> str:
        return str(self.body["messages"][-1]["content"])


@dataclass(frozen=True)
class Say:
    """What to do with a call."""

    text: str = "positive"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    raw: bytes | None = None
    error: dict[str, Any] | None = None
    cut: bool = False
    usage: tuple[int, int] | None = (20, 2)
    logprobs: list[tuple[str, list[tuple[str, float]]]] | None = None
    finish: str = "stop"

    def payload(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.error is not None:
            return json.dumps({"error": self.error}).encode()
        choice: dict[str, Any] = {"index": 0, "finish_reason": self.finish}
        choice["message"] = {"role": "assistant", "content": self.text}
        if self.logprobs is not None:
            choice["logprobs"] = {
                "content": [
                    {"token": t, "logprob": 0.0, "top_logprobs": [{"token": a, "logprob": b} for a, b in top]}
                    for t, top in self.logprobs
                ]
            }
        answer: dict[str, Any] = {"id": "x", "object": "chat.completion", "model": "m", "choices": [choice]}
        if self.usage is not None:
            answer["usage"] = {"prompt_tokens": self.usage[0], "completion_tokens": self.usage[1]}
        return json.dumps(answer).encode()


class ChatServer:
    """`with ChatServer(respond) as server:`; `respond(call) -> Say`. `server.url` ends in /v1."""

    def __init__(self, respond: Callable[[Call], Say] | None = None) -> None:
        self.respond = respond or (lambda call: Say())
        self.calls: list[Call] = []
        self.counts: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.most_in_flight = 0
        self.batches = Batches(self)
        self._in_flight = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # head and body are two writes: 40 ms a call otherwise

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.path.endswith(("/files", "/batches")):
                    outer._send(self, *outer.batches.post(self.path, body), {})
                else:
                    outer._handle(self, body)

            def do_GET(self) -> None:
                if "/files" in self.path or "/batches" in self.path:
                    outer._send(self, *outer.batches.get(self.path), {})
                    return
                models = {"object": "list", "data": [{"id": n, "object": "model"} for n in ("tiny-1", "huge-2")]}
                outer._send(self, 200, json.dumps(models).encode(), {})

            def log_message(self, format: str, *args: Any) -> None:
                return

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # a client that went away is what several tests are about

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> ChatServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, handler: BaseHTTPRequestHandler, raw: bytes) -> None:
        body = json.loads(raw)
        messages = json.dumps(body["messages"])
        with self._lock:
            self._in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self._in_flight)
            headers = {k.lower(): v for k, v in handler.headers.items()}
            call = Call(len(self.calls), self.counts[messages], body, headers, time.monotonic(), self._in_flight)
            self.calls.append(call)
            self.counts[messages] += 1
        try:
            say = self.respond(call)
            if say.delay:
                time.sleep(say.delay)
        finally:
            with self._lock:
                self._in_flight -= 1
        if say.cut:
            # A reset in the middle of an announced body.
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
            handler.wfile.flush()
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.connection.close()
            handler.close_connection = True
            return
        self._send(handler, say.status, say.payload(), say.headers)
        if say.status == 200:
            with self._lock:
                self.served[messages] += 1

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, status: int, payload: bytes, headers: dict[str, str]) -> None:
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(payload)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(payload)


class Batches:
    """Files and batches as OpenAI has them; a batch is done after `looks` looks at it. `created` counts them."""

    def __init__(self, server: ChatServer) -> None:
        self.server, self.looks, self.created, self.asked = server, 2, 0, 0
        self._files: dict[str, bytes] = {}
        self._batches: dict[str, dict[str, Any]] = {}

    def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        if path.endswith("/files"):
            name = f"file-{len(self._files)}"
            start = body.index(b'{"custom_id"')
            self._files[name] = body[start : body.rindex(b"}") + 1]
            return 200, json.dumps({"id": name, "object": "file", "bytes": 1, "created_at": 0, "filename": "x"}).encode()
        asked = json.loads(body)
        self.created += 1
        batch = {"id": f"batch-{self.created}", "object": "batch", "created_at": 0, "status": "validating", "looks": 0}
        self._batches[str(batch["id"])] = {**asked, **batch}
        return 200, json.dumps(self._batches[str(batch["id"])]).encode()

    def get(self, path: str) -> tuple[int, bytes]:
        if path.endswith("/content"):
            return 200, self._files[path.split("/")[-2]]
        name = path.partition("?")[0].split("/")[-1]
        if name == "batches":
            return 200, json.dumps({"object": "list", "data": list(self._batches.values()), "has_more": False}).encode()
        batch = self._batches[name]
        batch["looks"] += 1
        if batch["looks"] >= self.looks and batch["status"] != "completed":
            self._work(batch)
        return 200, json.dumps(batch).encode()

    def _work(self, batch: dict[str, Any]) -> None:
        good, bad = [], []
        for line in self._files[batch["input_file_id"]].splitlines():
            asked = json.loads(line)
            self.asked += 1
            say = self.server.respond(Call(self.asked, 0, asked["body"], {}, 0.0, 1))
            answer = {"status_code": say.status, "body": json.loads(say.payload())}
            (good if say.status == 200 else bad).append({"custom_id": asked["custom_id"], "response": answer, "error": None})
        for key, rows in (("output_file_id", good), ("error_file_id", bad)):
            if rows:
                batch[key] = f"file-{len(self._files)}"
                self._files[batch[key]] = "\n".join(json.dumps(row) for row in rows).encode()
        batch["status"] = "completed"


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
