"""The next things are made while the last one is used: a thread and a queue."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """An iterator over `made` that keeps up to `depth` things ready. What goes wrong in the thread is raised here."""

    def __init__(self, made: Iterator[T], depth: int) -> None:
        self._queue: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(depth)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=_run, args=(made, self._queue, self._stop), name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        thing, error = self._queue.get()
        if error is not None:
            self._queue.put((None, error))  # whoever asks again hears it again
            raise error
        return thing  # type: ignore[return-value]

    def close(self) -> None:
        """End the thread; what it has made ready is dropped."""
        self._stop.set()
        self._thread.join()

    def __del__(self) -> None:
        self._stop.set()


def _run(made: Iterator[T], to: queue.Queue[tuple[T | None, BaseException | None]], stop: threading.Event) -> None:
    while not stop.is_set():
        found: tuple[T | None, BaseException | None]
        try:
            found = next(made), None
        except BaseException as error:
            found = None, error
        while not stop.is_set():
            try:
                to.put(found, timeout=0.1)
                break
            except queue.Full:
                continue
        if found[1] is not None:
            return
