"""Measuring the finalists: speed of one text and of many, peak memory, size on disk, cost.

All are open at once and take turns on the user's own held-out texts, so that heat, clock and neighbours meet all alike.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from maskfork.decide.compare.constraints import Measures
from maskfork.decide.compare.contender import HeldOut, Predictor
from maskfork.decide.compare.events import Listener, Working
from maskfork.decide.compare.plan import Entry
from maskfork.errors import ModelError
from maskfork.measure.resources import Latency, cost_per_million, disk_mb, interleaved, throughput

_CALLS = ((0.075, 200), (0.3, 50), (float("inf"), 20))  # calls timed for contenders up to so many seconds a text
_PASS_SECONDS = 8.0  # the longest pass of a throughput; slower contenders answer fewer texts
_PASSES = 3
_WEIGH_SECONDS = 5.0


@dataclass(frozen=True)
class Weight:
    """What a finalist takes. Milliseconds, texts a second, megabytes; None where it is not measured."""

    p50_ms: float | None = None
    p99_ms: float | None = None
    timed: int = 0
    throughput: float | None = None
    memory_mb: float | None = None
    disk_mb: float | None = None
    cost_per_million: float | None = None
    remote: bool = False
    notes: tuple[str, ...] = field(default=())

    def measures(self) -> Measures:
        return Measures(self.p99_ms, self.throughput, self.memory_mb, self.cost_per_million, self.remote)

    def as_dict(self) -> dict[str, Any]:
        """The fields of the report."""
        latency = None
        if self.p50_ms is not None and self.p99_ms is not None:
            latency = {"p50": self.p50_ms, "p99": self.p99_ms, "count": self.timed}
        return {
            "latency_ms": latency,
            "throughput": self.throughput,
            "memory_mb": self.memory_mb,
            "disk_mb": self.disk_mb,
            "cost_per_million": self.cost_per_million,
        }


def weigh_finalists(
    finalists: Sequence[Entry],
    folders: Mapping[str, Path],
    usage: Mapping[str, Mapping[str, float]],
    held_out: HeldOut,
    price_per_hour: float | None,
    tell: Listener,
) -> dict[str, Weight]:
    """By entry name. folders: the saved models of those that run here; usage: an endpoint's own figures.

    Entries whose work is the same (a prompt read with and without calibration) are measured once.
    """
    weights = {entry.name: remote_weight(usage[entry.name]) for entry in finalists if entry.contender.remote}
    first: dict[tuple[str, int], Entry] = {}
    for entry in finalists:
        if not entry.contender.remote:
            first.setdefault((entry.contender.same_work, entry.budget), entry)
    if not first:
        return weights
    tell(Working("measuring speed, one contender after the other in turn"))
    open_ones = {entry.name: entry.contender.open(folders[entry.name]) for entry in first.values()}
    latencies = _latencies(open_ones, held_out)
    rates = _throughputs(open_ones, latencies, held_out)
    for entry in first.values():
        tell(Working(f"weighing {entry.name} in a process of its own"))
        latency, rate, folder = latencies[entry.name], rates[entry.name], folders[entry.name]
        memory, note = _memory(folder, held_out, latency)
        notes = [note] if note else []
        if latency.contaminated:
            notes.append(f"Other processes took part of the machine in {latency.contaminated} of the timed passes.")
        weights[entry.name] = Weight(
            p50_ms=latency.p50,
            p99_ms=latency.p99,
            timed=latency.count,
            throughput=rate,
            memory_mb=memory,
            disk_mb=disk_mb(folder) + sum(disk_mb(base) for base in entry.contender.needs()),
            cost_per_million=None if price_per_hour is None else cost_per_million(price_per_hour, rate),
            notes=tuple(notes),
        )
    for entry in finalists:
        if entry.name not in weights:
            twin = first[entry.contender.same_work, entry.budget].name
            weights[entry.name] = replace(weights[twin], notes=(f"Speed and memory are those of {twin}: the same work.",))
    return weights


def remote_weight(usage: Mapping[str, float]) -> Weight:
    """From an endpoint's own figures: tokens, cost and the times of its calls."""
    return Weight(
        p50_ms=usage.get("p50_ms"),
        p99_ms=usage.get("p99_ms"),
        timed=int(usage.get("timed", 0)),
        throughput=usage.get("throughput"),
        cost_per_million=usage.get("cost_per_million"),
        remote=True,
        notes=("Latency and throughput are those of the calls that were made, the network and other callers included.",),
    )


def _latencies(open_ones: Mapping[str, Predictor], held_out: HeldOut) -> dict[str, Latency]:
    """One text at a time. Contenders that are alike in speed take turns; slow ones are timed on fewer calls."""
    calls = {name: _one(predictor, held_out) for name, predictor in open_ones.items()}
    rows = [str(i) for i in range(len(held_out))]
    by_count: dict[int, dict[str, Callable[[str], object]]] = {}
    for name, call in calls.items():
        call(rows[0])
        started = perf_counter()
        call(rows[-1])
        seconds = perf_counter() - started
        count = next(count for most, count in _CALLS if seconds <= most)
        by_count.setdefault(count, {})[name] = call
    found: dict[str, Latency] = {}
    for count, together in by_count.items():
        found |= interleaved(together, rows, count=count, warm_up=min(10, count // 5))
    return found


def _one(predictor: Predictor, held_out: HeldOut) -> Callable[[str], object]:
    """A call that answers the held-out row with this number."""

    def call(row: str) -> object:
        i = int(row)
        return predictor.predict([held_out.texts[i]], None if held_out.pairs is None else [held_out.pairs[i]])

    return call


def _throughputs(open_ones: Mapping[str, Predictor], latencies: Mapping[str, Latency], held_out: HeldOut) -> dict[str, float]:
    """Texts a second of the quickest of some passes, in the contender's own batches, passes in turn."""
    best: dict[str, float] = {}
    for _ in range(_PASSES):
        for name, predictor in open_ones.items():
            most = max(32, int(1000 * _PASS_SECONDS / latencies[name].p50))
            texts = held_out.texts[:most]
            pairs = None if held_out.pairs is None else held_out.pairs[:most]
            rate = throughput(_many(predictor, pairs), texts, passes=1, warm_up=0)
            best[name] = max(best.get(name, 0.0), rate.per_second)
    return best


def _many(predictor: Predictor, pairs: Sequence[str] | None) -> Callable[[Sequence[str]], object]:
    """A call that answers all texts."""
    return lambda texts: predictor.predict(texts, pairs)


def _memory(folder: Path, held_out: HeldOut, latency: Latency) -> tuple[float, str | None]:
    """(peak MB, a note on the GPU's share) of a fresh process that opens the model and answers texts."""
    most = min(256, max(16, int(1000 * _WEIGH_SECONDS / latency.p50)))
    memory, gpu = peak_memory(folder, HeldOut(held_out.texts[:most], held_out.pairs and held_out.pairs[:most]))
    return memory, None if gpu is None else f"On the GPU it takes {gpu:,.0f} MB at its peak, beside the memory shown."


def peak_memory(folder: Path, held_out: HeldOut) -> tuple[float, float | None]:
    """(MB of resident memory, MB on the GPU or None) of a fresh process that answers these texts.

    Raises ModelError where that process fails, with its last words.
    """
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "texts.json"
        file.write_text(json.dumps({"texts": held_out.texts, "pairs": held_out.pairs}), "utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "maskfork.decide.compare.weigh", str(folder), str(file)],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ModelError(f"The saved model in {folder} cannot be opened by itself ({last}): remove that folder and rerun.")
    said = json.loads(done.stdout.splitlines()[-1])
    return float(said["memory_mb"]), said["gpu_mb"]
