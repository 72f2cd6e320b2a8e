"""A real server in a process of its own, and a client of it."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.deploy.serve.serving import assert_alike

KEY = "a-key-of-mine"


class Running:
    def __init__(self, folder: Path, log: Path, *options: str) -> None:
        command = Path(sys.executable).with_name("maskfork")
        words = [str(command), "serve", str(folder), "--port", "0", "--access-log", str(log), *options]
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MASKFORK_API_KEYS": KEY}
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
        own.request("POST", "/embed", json.dumps({"inputs": text}), {"authorization": f"Bearer {KEY}"})
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

    def ask_for(self, path: str, body: Any = None) -> Any:
        own = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        own.request("GET" if body is None else "POST", path, json.dumps(body), {"authorization": f"Bearer {KEY}"})
        text = own.getresponse().read()
        return json.loads(text) if text[:1] in b"{[" else text.decode()

    def hears(self, words: str, most: float = 30.0) -> None:
        """Wait until the server says it."""
        end = time.monotonic() + most
        while not any(words in line for line in self.said):
            assert time.monotonic() < end, self.said
            time.sleep(0.02)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
