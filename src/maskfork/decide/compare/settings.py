"""The settings of one comparison: which budgets and seeds, which constraints, how sure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Literal

from maskfork.errors import UsageError

Metric = Literal["accuracy", "macro_f1"]


@dataclass(frozen=True)
class Constraints:
    """What the winner has to keep to; None means free. Milliseconds, texts a second, megabytes, price units."""

    p99_ms: float | None = None
    qps: float | None = None
    memory_mb: float | None = None
    max_cost_per_million: float | None = None
    price_per_hour: float | None = None

    @property
    def any(self) -> bool:
        return any(v is not None for v in (self.p99_ms, self.qps, self.memory_mb, self.max_cost_per_million))

    def as_dict(self) -> dict[str, float | None]:
        return asdict(self)


@dataclass(frozen=True)
class CompareSettings:
    """budgets: labelled rows in all, None for every row. metric: what decides. resamples: of every bootstrap.

    measure: time and weigh the finalists (off only where a test wants no clock). disagreements: rows listed.
    """

    budgets: tuple[int | None, ...] = (0, 8, 64, 512, None)
    seeds: int = 3
    metric: Metric = "accuracy"
    constraints: Constraints = field(default_factory=Constraints)
    resamples: int = 2000
    level: float = 0.95
    measure: bool = True
    disagreements: int = 50
    command: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= 100:
            raise UsageError(f"--seeds is {self.seeds}, but it must be between 1 and 100.")
        if self.metric not in ("accuracy", "macro_f1"):
            raise UsageError(f"--metric is {self.metric!r}, but it must be accuracy or macro-f1.")
        if self.resamples < 100:
            raise UsageError(f"--resamples is {self.resamples}, but an interval needs at least 100.")
