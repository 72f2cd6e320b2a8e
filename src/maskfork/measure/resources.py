"""Speed, memory, disk and cost in one place; see `speed`, `memory` and `load` for what each figure means."""

from __future__ import annotations

from maskfork.measure.load import OtherLoad
from maskfork.measure.memory import Peak, disk_mb, peak_memory_mb, peak_of_call
from maskfork.measure.speed import Latency, Throughput, cost_per_million, interleaved, latency, throughput

__all__ = [
    "Latency",
    "OtherLoad",
    "Peak",
    "Throughput",
    "cost_per_million",
    "disk_mb",
    "interleaved",
    "latency",
    "peak_memory_mb",
    "peak_of_call",
    "throughput",
]
