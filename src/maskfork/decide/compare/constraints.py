"""Which constraints a contender breaks, in sentences, and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from maskfork.decide.compare.settings import Constraints


@dataclass(frozen=True)
class Measures:
    """What was measured of a contender; None where it is not known. remote: it runs on another machine."""

    p99_ms: float | None = None
    throughput: float | None = None
    memory_mb: float | None = None
    cost_per_million: float | None = None
    remote: bool = False


@dataclass(frozen=True)
class Breach:
    """One broken constraint. ratio: how many times beyond the limit (infinite where the figure is not known)."""

    sentence: str
    ratio: float


def breaches(measures: Measures, limits: Constraints) -> list[Breach]:
    """Every constraint that is broken, or whose figure is not known; memory here says nothing of a remote model."""
    return list(_breaches(measures, limits))


def _breaches(m: Measures, limits: Constraints) -> Iterator[Breach]:
    if limits.p99_ms is not None:
        if m.p99_ms is None:
            yield Breach("Its p99 latency was not measured.", float("inf"))
        elif m.p99_ms > limits.p99_ms:
            said = f"p99 latency is {_short(m.p99_ms)} ms, above {_short(limits.p99_ms)} ms."
            yield Breach(said, m.p99_ms / limits.p99_ms)
    if limits.qps is not None:
        if m.throughput is None:
            yield Breach("Its throughput was not measured.", float("inf"))
        elif m.throughput < limits.qps:
            said = f"throughput is {_short(m.throughput)} texts a second, below {_short(limits.qps)}."
            yield Breach(said, limits.qps / max(m.throughput, 1e-9))
    if limits.memory_mb is not None and not m.remote:
        if m.memory_mb is None:
            yield Breach("Its memory was not measured.", float("inf"))
        elif m.memory_mb > limits.memory_mb:
            said = f"peak memory is {_short(m.memory_mb)} MB, above {_short(limits.memory_mb)} MB."
            yield Breach(said, m.memory_mb / limits.memory_mb)
    if limits.max_cost_per_million is not None:
        if m.cost_per_million is None:
            cure = "--price-in and --price-out" if m.remote else "--price-per-hour"
            yield Breach(f"Its cost is not known: give {cure}.", float("inf"))
        elif m.cost_per_million > limits.max_cost_per_million:
            said = f"a million texts cost {m.cost_per_million:.2f}, above {limits.max_cost_per_million:.2f}."
            yield Breach(said, m.cost_per_million / limits.max_cost_per_million)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
