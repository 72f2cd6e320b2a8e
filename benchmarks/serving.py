"""`maskfork serve` beside its peers, and what it does under loads that are too much: the load comes from the same cores.

    python benchmarks/serving.py closed MODEL [--optimised FOLDER] 1, 16, 64 connections, every server in turn, one round a call
    python benchmarks/serving.py hold FOLDER --rate 1000           requests a second for a minute, at times drawn before
    python benchmarks/serving.py overload FOLDER --latency-ms 50   five times what it can do for a minute, and before and after
    python benchmarks/serving.py stop FOLDER                       SIGTERM under load
    python benchmarks/serving.py swap FOLDER                       the model is opened anew under load, again and again
    python benchmarks/serving.py write                             the section of RESULTS.md

One 25-token text a request: /predict for a classifier, /v1/embeddings for a sentence encoder. In an open loop a latency counts
from when a request was due. Every answer is held against the one that its text got alone. What was measured is kept in --log, and
with it how the two processors lay to each other before (`support/processors.py`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import uvloop
from support import ground, processors
from support.servers import Server, answers, ours, peers, right, running, texts
from support.serving_table import section

from maskfork.deploy.bench.client import Client
from maskfork.deploy.bench.load import Right, load
from maskfork.measure.resources import OtherLoad

ASKED = texts(128)


def closed(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """A round: each server at each number of connections."""
    commands = {"maskfork, float32": ours(given.folder)}
    if given.optimised:
        commands = {f"maskfork, {given.title}": ours(given.optimised), **commands}
    commands |= peers(given.folder, given.infinity)
    found: dict[str, Any] = {}
    lie = processors.measured()
    with OtherLoad() as others, ExitStack() as stack:
        servers = [
            stack.enter_context(running(name, words, given.folder, work / f"{i}.log"))
            for i, (name, words) in enumerate(commands.items())
        ]
        wanted: dict[str, Right] = {}
        for server in servers:
            try:
                wanted[server.name] = right(uvloop.run(answers(server, ASKED)))
            except RuntimeError as error:
                print(error, flush=True)
        for count in map(int, given.connections.split(",")):
            for server in servers:
                if server.name in wanted:
                    own = wanted[server.name]
                    seen = uvloop.run(load(server.target, ASKED, given.seconds, count, right=own))
                    found.setdefault(server.name, {})[str(count)] = {
                        **seen.summary(), "wrong": seen.wrong, "memory_mb": server.memory_mb()
                    }  # fmt: skip
                    print(server.name, count, found[server.name][str(count)], flush=True)
    return {"servers": found, "others": others.share, "processors": lie}


def hold(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    words, lie = ours(given.folder, "--workers", str(given.workers)), processors.measured()
    with OtherLoad() as others, running("maskfork", words, given.folder, work / "hold.log") as server:
        own = right(uvloop.run(answers(server, ASKED)))
        uvloop.run(load(server.target, ASKED, 3, 64))
        seen = uvloop.run(load(server.target, ASKED, given.seconds, 256, given.rate, right=own))
        memory = server.memory_mb()
    return {**seen.summary(), "wrong": seen.wrong, "memory_mb": memory, "others": others.share, "processors": lie}


def overload(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    words, lie = ours(given.folder, "--latency-ms", str(given.latency_ms)), processors.measured()
    with running("maskfork", ours(given.folder), given.folder, work / "capacity.log") as server:  # that promises nothing
        uvloop.run(load(server.target, ASKED, 2, 64))
        most = uvloop.run(load(server.target, ASKED, 6, 64)).summary()["answered_per_second"]
    assert most is not None
    with OtherLoad() as others, running("maskfork", words, given.folder, work / "overload.log") as server:
        own = right(uvloop.run(answers(server, ASKED)))
        before = uvloop.run(load(server.target, ASKED, 10, 64, most / 3, right=own))

        async def watched() -> tuple[Any, list[float]]:
            task = asyncio.ensure_future(load(server.target, ASKED, given.seconds, given.most, 5 * most, right=own))
            memory = []
            while not task.done():
                memory.append(server.memory_mb())
                await asyncio.wait([task], timeout=1)
            return task.result(), memory

        seen, memory = uvloop.run(watched())
        after = uvloop.run(load(server.target, ASKED, 10, 64, most / 3, right=own))
    return {
        "capacity": most, "latency_ms": given.latency_ms, "during": {**seen.summary(), "wrong": seen.wrong},
        "before": before.summary(), "after": after.summary(), "memory_mb": memory, "seconds": seen.seconds,
        "others": others.share, "processors": lie,
    }  # fmt: skip


async def ask_on(server: Server, own: Right, count: int, until: asyncio.Event) -> dict[str, Any]:
    """`count` connections ask until told to stop, or until nobody listens; whatever was sent and not answered is `lost`."""
    statuses, lost, wrong = Counter[int](), 0, 0

    async def one(number: int) -> None:
        nonlocal lost, wrong
        client = Client(server.target)
        while not until.is_set():
            try:
                status, body = await client.post(server.target.request(ASKED[number]))
            except ConnectionRefusedError:
                return
            except OSError:
                lost += 1
                return
            statuses[status] += 1
            wrong += status == 200 and not own(number, body)
            number = (number + count) % len(ASKED)
        client.close()

    await asyncio.gather(*(one(number) for number in range(count)))
    return {"statuses": dict(statuses), "lost": lost, "wrong": wrong}


def stop(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Each time a server of its own."""
    found = []
    for turn in range(given.turns):
        with running("maskfork", ours(given.folder), given.folder, work / f"stop{turn}.log") as server:
            own = right(uvloop.run(answers(server, ASKED)))

            async def told(server: Server = server, own: Right = own) -> dict[str, Any]:
                asking = asyncio.ensure_future(ask_on(server, own, 64, asyncio.Event()))
                await asyncio.sleep(4)
                server.process.send_signal(signal.SIGTERM)
                return await asking

            found.append({**uvloop.run(told()), "ended": server.process.wait(70)})
            print(found[-1], flush=True)
    return {"turns": found}


def swap(given: argparse.Namespace, work: Path) -> dict[str, Any]:
    log = work / "swap.log"
    with running("maskfork", ours(given.folder), given.folder, log) as server:
        own = right(uvloop.run(answers(server, ASKED)))

        async def swapped() -> dict[str, Any]:
            until = asyncio.Event()
            asking = asyncio.ensure_future(ask_on(server, own, 64, until))
            for _ in range(given.turns):
                await asyncio.sleep(4)
                server.process.send_signal(signal.SIGHUP)
            await asyncio.sleep(4)
            until.set()
            return await asking

        found = uvloop.run(swapped())
    return {**found, "swaps": log.read_text().count("opened anew")}


PARTS = {"closed": closed, "hold": hold, "overload": overload, "stop": stop, "swap": swap}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "write"])
    parser.add_argument("folder", type=Path, nargs="?", default=ground.minilm())
    parser.add_argument("--optimised", type=Path, help="closed: the folder that `maskfork optimize` made of it")
    parser.add_argument("--title", default="int8", help="how that one is called")
    parser.add_argument("--name", help="under which the result is kept; the folder's name where it is left out")
    parser.add_argument("--infinity", help="where infinity_emb's program lies")
    parser.add_argument("--seconds", type=float, help="of each load: 5 for closed, 60 else")
    parser.add_argument("--connections", default="1,16,64")
    parser.add_argument("--most", type=int, default=512, help="overload: connections at once")
    parser.add_argument("--rate", type=float, default=1000)
    parser.add_argument("--workers", type=int, default=1, help="hold: processes of the server")
    parser.add_argument("--latency-ms", type=float, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--log", type=Path, default=ground.RUNS / "bench-serving" / "log.jsonl")
    given = parser.parse_args()
    given.seconds = given.seconds or (5 if given.part == "closed" else 60)
    given.log.parent.mkdir(parents=True, exist_ok=True)
    if given.part == "write":
        ground.put("serving", section([json.loads(line) for line in given.log.read_text().splitlines()]))
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no server is left behind
    found = PARTS[given.part](given, given.log.parent)
    about = {"part": given.part, "name": given.name or given.folder.name, "commit": ground.commit(), "machine": ground.machine()}
    with given.log.open("a") as out:
        out.write(json.dumps({**about, **found}) + "\n")
    print(json.dumps({**about, **{key: value for key, value in found.items() if key != "memory_mb"}}, indent=1))


if __name__ == "__main__":
    main()
