"""Several processes behind one port: `--workers`.

    first process ── binds the port, starts the others, hands on SIGTERM and SIGHUP, starts anew what dies
      worker 1, 2 ... ── take connections from that port; each has its models, its batches, its share of the cores

Weights that a model keeps as they lie in its files are pages of those files (safetensors maps them), so the workers share them.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory
from threading import Thread
from types import FrameType
from typing import Any

from maskfork.deploy.serve.plan import Plan
from maskfork.deploy.serve.protocol import fits
from maskfork.deploy.serve.run import Say, Server, address_of, config_of, ignore_swaps, introduce, listen
from maskfork.errors import MaskforkError
from maskfork.models.cores import SHARE, usable_cores

METRICS = "PROMETHEUS_MULTIPROC_DIR"  # where the processes put their figures, so that each can say all of them


@dataclass
class Worker:
    process: SpawnProcess
    pipe: connection.Connection
    ready: bool = False
    dead: bool = False


class Workers:
    """Runs `count` of them until SIGTERM or SIGINT; a second signal ends them at once."""

    def __init__(self, plan: Plan, listening: socket.socket, count: int, say: Say) -> None:
        self._plan, self._listening, self._say = plan, listening, say
        self._cores = max(1, usable_cores() // count)
        self._stopping = False
        self._failed: str | None = None
        self._workers = [self._start() for _ in range(count)]

    def run(self) -> None:
        """Raises MaskforkError where a worker cannot begin."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._hand_on)
        said = False
        while self._workers:
            connection.wait([end for worker in self._workers for end in self._ends(worker)])
            for worker in list(self._workers):
                self._hear(worker)
                if worker.dead or not worker.process.is_alive():
                    self._bury(worker)
            if not said and self._workers and all(worker.ready for worker in self._workers):
                self._say(f"listening at {address_of(self._listening)}")
                said = True
        if self._failed is not None:
            raise MaskforkError(self._failed)

    def _start(self) -> Worker:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(self._plan, self._listening, self._cores, theirs), daemon=True)
        process.start()
        theirs.close()
        return Worker(process, ours)

    def _ends(self, worker: Worker) -> list[Any]:
        return [worker.process.sentinel, *([] if worker.pipe.closed else [worker.pipe])]

    def _hear(self, worker: Worker) -> None:
        try:
            while not worker.pipe.closed and worker.pipe.poll():
                kind, sentence = worker.pipe.recv()
                if kind == "ready":
                    worker.ready = True
                elif kind == "failed":
                    self._failed = sentence
                elif worker is self._workers[0]:  # they all say the same
                    self._say(sentence)
        except EOFError:
            worker.pipe.close()

    def _bury(self, worker: Worker) -> None:
        worker.process.join()
        self._workers.remove(worker)
        _forget(worker.process.pid)
        if self._stopping:
            return
        if worker.ready:
            self._say(f"worker {worker.process.pid} ended by itself (status {worker.process.exitcode}): another one is started")
            self._workers.append(self._start())
            return
        self._failed = self._failed or f"a worker could not begin (status {worker.process.exitcode}): its output says more"
        self._stopping = True
        self._tell(signal.SIGTERM)

    def _hand_on(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGHUP:
            self._stopping, number = True, signal.SIGTERM
        self._tell(number)

    def _tell(self, number: int) -> None:
        for worker in self._workers:
            if number == signal.SIGHUP and not worker.ready:  # it is opening the models just now
                continue
            if worker.process.is_alive() and worker.process.pid is not None:
                os.kill(worker.process.pid, number)


def run_workers(plan: Plan, host: str, port: int, count: int, say: Say) -> None:
    """Serve in `count` processes until told to stop. Raises UsageError for a port that cannot be had, MaskforkError."""
    fits()
    with listen(host, port) as listening, TemporaryDirectory(prefix="maskfork-metrics-") as figures:
        os.environ[METRICS] = figures
        Workers(plan, listening, count, say).run()


def work(plan: Plan, listening: socket.socket, cores: int, pipe: connection.Connection) -> None:
    """A worker's whole life."""
    os.environ[SHARE] = str(cores)
    Thread(target=_end_with_parent, daemon=True).start()
    ignore_swaps()

    def say(sentence: str) -> None:
        pipe.send(("said", sentence))

    try:
        app = plan.app()
    except MaskforkError as error:
        pipe.send(("failed", str(error)))
        sys.exit(1)
    introduce(app, say)

    def ready(addresses: list[str]) -> None:
        pipe.send(("ready", ""))

    Server(config_of(app, plan.limits), app, plan, say, ready, worker=True).run([listening])


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGTERM)


def _forget(pid: int | None) -> None:
    from prometheus_client.multiprocess import mark_process_dead

    forget: Callable[[int | None], None] = mark_process_dead
    forget(pid)
