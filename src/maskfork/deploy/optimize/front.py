"""What nothing else beats: the Pareto front over speed, latency, memory and being right."""

from __future__ import annotations

from collections.abc import Sequence

from maskfork.deploy.optimize.measured import Measured


def front(found: Sequence[Measured]) -> list[Measured]:
    """Those that passed the gate and that no other beats or equals in all four, the quickest first."""
    kept = [one for one in found if one.refused is None and one.per_second is not None]
    best = [one for one in kept if not any(_beats(other, one) for other in kept if other is not one)]
    return sorted(best, key=lambda one: -(one.per_second or 0.0))


def _beats(a: Measured, b: Measured) -> bool:
    """Whether a is at least as good as b in everything and better in something."""
    mine, theirs = _figures(a), _figures(b)
    return all(x >= y for x, y in zip(mine, theirs, strict=True)) and mine != theirs


def _figures(one: Measured) -> tuple[float, float, float, float]:
    """Higher is better in each."""
    right = one.accuracy if one.accuracy is not None else one.agreement.value if one.agreement is not None else 0.0
    return one.per_second or 0.0, -(one.p50 or 0.0), -(one.memory_mb or 0.0), right
