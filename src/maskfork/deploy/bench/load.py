"""Load on a server: closed loop (each connection asks again when it is answered) or open loop (at times drawn before).

In an open loop a latency counts from the time at which its request was due, also where all connections were busy then: a server
that stalls cannot hide the requests that would have come meanwhile (Gil Tene's "coordinated omission").
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from maskfork.deploy.bench.client import Client, Target

LAST_S = 30.0  # after a load's end for the answers that are still out; what has none then has failed
BROKEN = 0  # the status of a request whose connection broke, or that was never answered
Right = Callable[[int, bytes], bool]
"""Whether the answer to the text of this number is the one that it should be."""


@dataclass
class Seen:
    """What a load saw: how many requests were `due`, milliseconds of each answered one, statuses of all, and how many answers
    were `wrong`.
    """

    seconds: float
    connections: int
    rate: float | None = None
    due: int = 0
    ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    right: Right | None = None
    wrong: int = 0

    def summary(self) -> dict[str, float | int | None]:
        """Requests a second that were answered, percentiles in milliseconds, refusals (429) and failures."""
        ms = np.array(self.ms) if self.ms else np.array([np.nan])
        p50, p90, p99 = (float(x) for x in np.quantile(ms, [0.5, 0.9, 0.99]))
        refused = self.statuses[429]
        return {
            "connections": self.connections, "asked_per_second": self.rate, "answered_per_second": len(self.ms) / self.seconds,
            "p50_ms": p50, "p90_ms": p90, "p99_ms": p99, "longest_ms": float(ms.max()), "refused": refused,
            "failed": sum(self.statuses.values()) - len(self.ms) - refused,
        }  # fmt: skip


async def load(
    target: Target,
    texts: Sequence[str],
    seconds: float,
    connections: int,
    rate: float | None = None,
    seed: int = 0,
    right: Right | None = None,
) -> Seen:
    """`rate` requests a second as they come to a counter (Poisson); None: as fast as answers come. Texts in turn.

    Ends `LAST_S` later at the latest: a server that stands still for ever is told of, too.
    """
    requests = [target.request(text) for text in texts]
    clients = [Client(target) for _ in range(connections)]
    seen = Seen(seconds, connections, rate, right=right)
    gc.collect()
    gc.freeze()  # a walk through all that is imported here would be counted as the server's
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(seconds + LAST_S):
            if rate is None:
                await asyncio.gather(*(_again(client, requests, k, seen, begin) for k, client in enumerate(clients)))
            else:
                times = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, max(1, int(rate * seconds))))
                seen.due = len(times)
                await _due(clients, requests, times, seen, begin)
    except TimeoutError:
        seen.statuses[BROKEN] += seen.due - sum(seen.statuses.values())
    finally:
        seen.seconds = time.perf_counter() - begin
        for client in clients:
            client.close()
        gc.unfreeze()
    return seen


async def _again(client: Client, requests: Sequence[bytes], first: int, seen: Seen, begin: float) -> None:
    number = first
    while time.perf_counter() - begin < seen.seconds:
        seen.due += 1
        await _one(client, requests, number % len(requests), time.perf_counter(), seen)
        number += seen.connections


async def _due(clients: list[Client], requests: Sequence[bytes], times: np.ndarray, seen: Seen, begin: float) -> None:
    free: asyncio.LifoQueue[Client] = asyncio.LifoQueue()
    for client in clients:
        free.put_nowait(client)

    async def timed(number: int, due: float) -> None:
        client = await free.get()
        try:
            await _one(client, requests, number % len(requests), due, seen)
        finally:
            free.put_nowait(client)

    running = set()
    for number, at in enumerate(times.tolist()):
        if (wait := begin + at - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        task = asyncio.ensure_future(timed(number, begin + at))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)


async def _one(client: Client, requests: Sequence[bytes], number: int, due: float, seen: Seen) -> None:
    try:
        status, body = await client.post(requests[number])
    except OSError:
        client.close()
        seen.statuses[BROKEN] += 1
        return
    seen.statuses[status] += 1
    if status == 200:
        seen.ms.append(1000 * (time.perf_counter() - due))
        seen.wrong += seen.right is not None and not seen.right(number, body)
