"""A contender in a process of its own, for threads that spin for a while after a call and would disturb whoever comes next."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

REST = 0.4  # seconds after which such threads sleep

Write = Callable[[list[list[int]], int], None]  # so many new tokens after each prompt


class Apart:
    """`opened(*args)`, called there, makes what writes."""

    def __init__(self, opened: Callable[..., Write], *args: Any) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs, opened, args), daemon=True)
        self._process.start()
        theirs.close()

    def __call__(self, prompts: list[list[int]], new: int) -> float:
        """Seconds that it took there."""
        self._pipe.send((prompts, new))
        seconds = float(self._pipe.recv())
        time.sleep(REST)
        return seconds


def _serve(pipe: Connection, opened: Callable[..., Write], args: tuple[Any, ...]) -> None:
    write = opened(*args)
    while True:
        try:
            prompts, new = pipe.recv()
        except EOFError:  # the benchmark has ended
            return
        begin = time.perf_counter()
        write(prompts, new)
        pipe.send(time.perf_counter() - begin)
