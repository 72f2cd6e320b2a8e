"""A candidate in a process of its own: its threads, memory and loading time are its own. Asked by JSON, a line each.

python -m maskfork.deploy.optimize.worker        {"do": "open", ...} -> {"seconds": ..., "memory_mb": ...}
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from maskfork.deploy.optimize.opened import Opened, key, open_for
from maskfork.deploy.optimize.writing.opened import open_written
from maskfork.errors import MaskforkError
from maskfork.measure.load import OtherLoad
from maskfork.measure.memory import peak_memory_mb
from maskfork.measure.speed import latency, throughput
from maskfork.models.cores import usable_cores
from maskfork.models.runtimes.contract import Padding


class Worker:
    """`rows` are the user's; times are taken on the first so many of them as is asked."""

    def __init__(self) -> None:
        self.model: Opened | None = None
        self.rows: list[dict[str, Any]] = []

    def open(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The seconds from nothing to the first answer, libraries aside, which are loaded before."""
        import torch

        torch.set_num_threads(int(asked.get("threads") or usable_cores()))
        self.rows = msgspec.json.decode(Path(asked["rows"]).read_bytes())
        begin = time.perf_counter()
        task = asked.get("task")
        self.model = self.load(Path(asked["folder"]), None if task is None else Path(task))
        self.model.answer(self.rows[:1])
        return {"seconds": time.perf_counter() - begin, "memory_mb": peak_memory_mb()}

    def load(self, folder: Path, task: Path | None) -> Opened:
        """The model in a folder; a decoder that a described `task` is put to."""
        writes = task is not None or "ids" in self.rows[0]
        return open_written(folder, task) if writes else open_for(folder)

    def answers(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Keys and labels of all rows; their numbers as .npy at `numbers`."""
        assert self.model is not None
        begin = time.perf_counter()
        said, numbers = self.model.heard(self.rows)
        seconds = time.perf_counter() - begin
        if numbers is not None:
            np.save(asked["numbers"], numbers)
        name = next((name for name in ("label", "labels") if said and name in said[0]), None)
        labels = None if name is None else [answer[name] for answer in said]
        return {
            "keys": [key(answer) for answer in said],
            "labels": labels,
            "numbers": numbers is not None,
            "seconds": seconds,
            "memory_mb": peak_memory_mb(),
        }

    def throughput(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Texts (a decoder's tokens) a second of the quickest of some passes, what others took of the machine meanwhile, and the
        share of what was computed that was padding, where that is counted.
        """
        assert self.model is not None
        padding = self.model.padding
        before = None if padding is None else replace(padding)
        with OtherLoad() as other:
            found = throughput(self.model.answer, self.rows[: asked["rows"]], int(asked["passes"]), int(asked["warm_up"]))
        share = None
        if padding is not None and before is not None:
            share = Padding(padding.tokens - before.tokens, padding.filling - before.filling).share
        return {
            "per_second": found.per_second * self.model.tokens, "others": other.share, "memory_mb": peak_memory_mb(),
            "padding": share,
        }  # fmt: skip

    def latency(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Milliseconds of one row at a time; `first`: until a decoder's first token."""
        model = self.model
        assert model is not None
        rows, count, first = self.rows[: asked["rows"]], int(asked["count"]), model.first
        with OtherLoad() as other:
            found = latency(lambda row: model.answer([row]), rows, count, warm_up=min(10, count))
            begun = None if first is None else latency(lambda row: first([row]), rows, count, warm_up=1).p50
        return {
            "p50": found.p50, "p90": found.p90, "p99": found.p99, "count": found.count, "first": begun, "others": other.share,
        }  # fmt: skip


def answer_lines(worker: Worker) -> None:
    """Answer until the input ends. A user's error is answered too, as {"error": its sentence}."""
    out = sys.stdout
    sys.stdout = sys.stderr  # what a library prints is not an answer
    for line in sys.stdin:
        asked = msgspec.json.decode(line)
        try:
            said = getattr(worker, asked["do"])(asked)
        except MaskforkError as error:
            said = {"error": str(error)}
        out.write(msgspec.json.encode(said).decode() + "\n")
        out.flush()


if __name__ == "__main__":
    answer_lines(Worker())
