"""How two of the processors that may be used lie to each other: on two cores, or as the two threads of one.

A virtual machine does not say it, and it may change from one day to the next. `python benchmarks/support/processors.py` says it.
"""

from __future__ import annotations

import gc
import hashlib
import json
import mmap
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORK = bytes(1 << 18)  # hashed without the interpreter's lock, and out of the first cache
SECONDS, TURNS = 0.06, 3
TWO = 1.8  # times the work of one: below that the two are no cores of their own, or others use them
EXCHANGES, BLOCKS = 400, 100


def measured() -> dict[str, float] | None:
    """`scaling`: work of two threads, each on a processor of its own, beside that of one; about 2 on two cores, and below 1.6 on
    the two threads of one, or where others use the machine. `round_trip_ns`: until a byte that one writes is seen by the other
    and its answer is seen here, less what the interpreter takes for it.

    In a process of its own, a second long. None where there is one processor alone, or where none can be chosen.
    """
    if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
        return None
    done = subprocess.run([sys.executable, str(Path(__file__))], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def said(found: dict[str, float]) -> str:
    """A part of a footnote."""
    kind = "two cores" if found["scaling"] >= TWO else "two threads of one core, or shared with others"
    return f"{found['scaling']:.2f} times the work of one, {found['round_trip_ns']:.0f} ns there and back ({kind})"


def scaling(first: int, second: int) -> float:
    """Others can only take from a rate, so the best of a few turns counts."""
    with ThreadPoolExecutor(2) as pool:
        alone = [max(pool.submit(_rate, cpu).result() for _ in range(TURNS)) for cpu in (first, second)]
        both = [[pool.submit(_rate, cpu) for cpu in (first, second)] for _ in range(TURNS)]
        together = max(sum(one.result() for one in turn) for turn in both)
    return 2 * together / sum(alone)


def _rate(cpu: int) -> float:
    os.sched_setaffinity(0, {cpu})
    count, begin = 0, time.perf_counter()
    while (took := time.perf_counter() - begin) < SECONDS:
        hashlib.blake2b(WORK)
        count += 1
    return count / took


def round_trip_ns(first: int, second: int) -> float:
    """The quickest of many blocks of exchanges, less the quickest of as many with nobody on the other side."""
    shared = mmap.mmap(-1, mmap.PAGESIZE)
    gc.disable()
    alone = min(_alone(shared) for _ in range(BLOCKS))
    other = os.fork()
    if other == 0:
        os.sched_setaffinity(0, {second})
        for _ in range(EXCHANGES * BLOCKS):
            while not shared[0]:
                pass
            shared[0] = 0
        os._exit(0)
    os.sched_setaffinity(0, {first})
    together = min(_exchanged(shared) for _ in range(BLOCKS))
    os.waitpid(other, 0)
    return 1e9 * (together - alone) / EXCHANGES


def _exchanged(shared: mmap.mmap) -> float:
    begin = time.perf_counter()
    for _ in range(EXCHANGES):
        shared[0] = 1
        while shared[0]:
            pass
    return time.perf_counter() - begin


def _alone(shared: mmap.mmap) -> float:
    begin = time.perf_counter()
    for _ in range(EXCHANGES):
        shared[0] = 1
        while not shared[0]:
            pass
        shared[0] = 0
        while shared[0]:
            pass
    return time.perf_counter() - begin


if __name__ == "__main__":
    one, two = sorted(os.sched_getaffinity(0))[:2]
    print(json.dumps({"scaling": scaling(one, two), "round_trip_ns": round_trip_ns(one, two)}))
