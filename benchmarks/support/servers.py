"""Servers of one model in processes of their own, asked over HTTP: ours and the peers'."""

from __future__ import annotations

import asyncio
import base64
import json
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskfork.deploy.bench.client import Client, Target
from maskfork.measure.memory import resident_mb

STORY = "the film is a warm and clever story of two friends who lose their way in a small town by the sea"
NEAR = 0.02  # an answer in a batch beside the answer to the text alone


def texts(count: int) -> list[str]:
    """About 25 tokens each, one of which tells them apart."""
    rng, words = random.Random(0), STORY.split()
    return [" ".join(rng.choice(words) for _ in range(22)) + f" {i}" for i in range(count)]


@dataclass
class Server:
    """`own`: whether it is maskfork's."""

    name: str
    process: subprocess.Popen[str]
    target: Target

    def memory_mb(self) -> float:
        return resident_mb(self.process.pid) or 0.0


def ours(folder: Path, *options: str) -> list[str]:
    """`maskfork serve` of a folder; the port is put at the end."""
    return [str(Path(sys.executable).with_name("maskfork")), "serve", f"m={folder}", "--access-log", "none", *options, "--port"]


def peers(folder: Path, infinity: str | None) -> dict[str, list[str]]:
    """The peers' commands, each without its port; `infinity` is where its program lies."""
    script = [sys.executable, str(Path(__file__).with_name("serving_peers.py"))]
    library, name = ("sentence-transformers", "st") if (folder / "modules.json").is_file() else ("pipeline", "pipeline")
    found = {f"FastAPI + {name}{how}": [*script, f"{library}{how}", str(folder)] for how in ("", "-async")}
    program = infinity or shutil.which("infinity_emb")
    if program and name == "st":
        found["infinity (torch)"] = [
            program, "v2", "--model-id", str(folder), "--served-model-name", "m", "--engine", "torch", "--device", "cpu",
            "--no-bettertransformer", "--url-prefix", "/v1", "--log-level", "error", "--port",
        ]  # fmt: skip
    return found


@contextmanager
def running(name: str, command: Sequence[str], folder: Path, log: Path) -> Iterator[Server]:
    """Started, and answering; what it says goes to `log`. RuntimeError where it ends before."""
    route = "/v1/embeddings" if (folder / "modules.json").is_file() else "/predict"
    target = Target("127.0.0.1", _free_port(), route, model="m")
    with log.open("w") as out, subprocess.Popen([*command, str(target.port)], stdout=out, stderr=out, text=True) as process:
        try:
            yield Server(name, process, target)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


async def answers(server: Server, asked: Sequence[str], most_s: float = 90.0) -> list[np.ndarray]:
    """The answer to each text alone, as soon as the server answers. Raises RuntimeError."""
    client, end = Client(server.target), time.monotonic() + most_s
    while True:
        try:
            status, body = await client.post(server.target.request(asked[0]))
            if status == 200:
                break
            raise RuntimeError(f"{server.name} says {status}: {body[:300]!r}")
        except OSError:
            client.close()
            if server.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{server.name} does not answer (status {server.process.poll()})") from None
            await asyncio.sleep(0.2)
    found = [numbers((await client.post(server.target.request(text)))[1]) for text in asked]
    client.close()
    return found


def right(wanted: Sequence[np.ndarray]) -> Callable[[int, bytes], bool]:
    return lambda number, body: bool(np.abs(numbers(body) - wanted[number]).max() < NEAR)


def numbers(body: bytes) -> np.ndarray:
    """A vector, or the scores of the labels in the order of their names."""
    said = json.loads(body)
    if isinstance(said, dict):
        return np.frombuffer(base64.b64decode(said["data"][0]["embedding"]), "<f4")
    rows = said[0] if isinstance(said[0], list) else said
    return np.array([row["score"] for row in sorted(rows, key=lambda row: str(row["label"]))])


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as own:
        return int(own.getsockname()[1])
