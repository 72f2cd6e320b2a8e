"""Requests a second of `maskfork serve` on this machine, load from a process of its own on the same cores.

    python benchmarks/serving.py [--model all-MiniLM-L6-v2] [--seconds 8] [--connections 1,16,64] [--rate 400] [--latency-ms 200]

Closed loop: every connection asks again as soon as it is answered. With `--rate` requests are sent open-loop, at times drawn
before (Poisson), and a latency is counted from the time at which its request should have been sent (no coordinated omission).
Every answer is held against the one that its text got alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

STORY = "the film is a warm and clever story of two friends who lose their way in a small town by the sea"


def texts(count: int) -> list[str]:
    """About 25 tokens each, one of which tells them apart."""
    rng, words = random.Random(0), STORY.split()
    return [" ".join(rng.choice(words) for _ in range(22)) + f" {i}" for i in range(count)]


@dataclass
class Seen:
    ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: int = 0


class Client:
    """One connection, kept alive."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, text: str) -> tuple[int, list[float]]:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        body = json.dumps({"input": text, "encoding_format": "base64"}).encode()
        writer.write(b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        answer = json.loads(await reader.readexactly(size))
        status = int(head[9:12])
        return status, _vector(answer["data"][0]["embedding"]) if status == 200 else []


def _vector(packed: str) -> list[float]:
    from base64 import b64decode

    return np.frombuffer(b64decode(packed), "<f4")[:8].tolist()


async def load(port: int, seconds: float, connections: int, rate: float | None) -> Seen:
    asked = texts(256)
    clients = [Client(port) for _ in range(connections)]
    right = [(await clients[0].ask(text))[1] for text in asked]
    seen = Seen()
    free: asyncio.LifoQueue[Client] = asyncio.LifoQueue()
    for client in clients:
        free.put_nowait(client)

    async def one(client: Client, i: int, due: float) -> None:
        status, vector = await client.ask(asked[i % 256])
        seen.statuses[status] += 1
        if status == 200:
            seen.ms.append(1000 * (time.perf_counter() - due))
            seen.wrong += not np.allclose(vector, right[i % 256], atol=0.02)

    begin = time.perf_counter()
    if rate is None:

        async def again(client: Client, k: int) -> None:
            i = k
            while time.perf_counter() - begin < seconds:
                await one(client, i, time.perf_counter())
                i += connections

        await asyncio.gather(*(again(client, k) for k, client in enumerate(clients)))
        return seen
    times = np.cumsum(np.random.default_rng(0).exponential(1 / rate, int(rate * seconds)))
    running = set()

    async def timed(i: int, due: float) -> None:
        client = await free.get()
        try:
            await one(client, i, due)
        finally:
            free.put_nowait(client)

    for i, at in enumerate(times):
        due = begin + float(at)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        running.add(asyncio.ensure_future(timed(i, due)))
    await asyncio.gather(*running)
    return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--rate", type=float)
    parser.add_argument("--latency-ms", type=float)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.port:
        import uvloop

        seen = uvloop.run(load(given.port, given.seconds, int(given.connections), given.rate))
        print(json.dumps({"ms": seen.ms, "statuses": dict(seen.statuses), "wrong": seen.wrong}))
        return
    words = [str(Path(sys.executable).with_name("maskfork")), "serve", f"m={given.model}", "--port", "0", "--access-log", "none"]
    words += ["--latency-ms", str(given.latency_ms)] if given.latency_ms else []
    words += ["--bf16"] if given.bf16 else []
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        port = next(line.rsplit(":", 1)[1].strip() for line in server.stderr if "listening at" in line)
        print(
            "| connections | asked a second | answered a second | p50 ms | p99 ms | refused | wrong | server MB |\n"
            + "|---" * 8
            + "|"
        )
        for connections in given.connections.split(","):
            own = [sys.executable, __file__, "--port", port, "--seconds", str(given.seconds), "--connections", connections]
            own += ["--rate", str(given.rate)] if given.rate else []
            said = json.loads(subprocess.run(own, capture_output=True, text=True, check=True).stdout)
            ms, refused = np.array(said["ms"]), sum(n for status, n in said["statuses"].items() if status != "200")
            p50, p99 = np.quantile(ms, [0.5, 0.99])
            memory = psutil.Process(server.pid).memory_info().rss / 2**20
            print(
                f"| {connections} | {given.rate or 'as answered'} | {len(ms) / given.seconds:.0f} | {p50:.1f} | {p99:.1f} | "
                f"{refused} | {said['wrong']} | {memory:.0f} |",
                flush=True,
            )
        server.terminate()


if __name__ == "__main__":
    main()
