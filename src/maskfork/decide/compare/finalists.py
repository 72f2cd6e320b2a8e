"""Measuring the finalists: speed of one text and of many, peak memory, size on disk, cost."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from maskfork.decide.compare.constraints import Measures
from maskfork.decide.compare.contender import HeldOut
from maskfork.errors import ModelError


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


def remote_weight(usage: Mapping[str, float]) -> Weight:
    """From an endpoint's own figures: tokens, cost and the times of its calls."""
    return Weight(
        p50_ms=usage.get("p50_ms"),
        p99_ms=usage.get("p99_ms"),
        timed=int(usage.get("timed", 0)),
        throughput=usage.get("throughput"),
        cost_per_million=usage.get("cost_per_million"),
        remote=True,
    )


def cost_here(price_per_hour: float | None, throughput: float | None) -> float | None:
    """Price of a million texts on this machine when it does nothing else: price per hour over texts per hour."""
    if price_per_hour is None or not throughput:
        return None
    return price_per_hour / (throughput * 3600) * 1e6


def disk_mb(folder: Path) -> float:
    """Size of all files of a saved model, in MB (10^6 bytes)."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def peak_memory(folder: Path, held_out: HeldOut, most: int = 256) -> tuple[float, float | None]:
    """(MB of resident memory, MB on the GPU or None) of a fresh process that answers up to `most` held-out texts.

    Raises ModelError where that process fails, with its last words.
    """
    texts: Sequence[str] = held_out.texts[:most]
    pairs = None if held_out.pairs is None else held_out.pairs[:most]
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "texts.json"
        file.write_text(json.dumps({"texts": texts, "pairs": pairs}), "utf-8")
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
