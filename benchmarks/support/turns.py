"""Several contenders timed in turn: what disturbs one round disturbs them all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from maskfork.measure.resources import OtherLoad


@dataclass(frozen=True)
class Turns:
    """Seconds and processor seconds of each round by contender, and the share of the machine that others took meanwhile."""

    seconds: dict[str, list[float]]
    processor: dict[str, list[float]]
    others: float | None

    def median(self, name: str) -> float:
        return statistics.median(self.seconds[name])

    def ratio(self, slow: str, fast: str) -> float:
        """How many times `fast` is quicker than `slow`: the median over rounds of the ratio inside a round."""
        pairs = zip(self.seconds[slow], self.seconds[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def work_ratio(self, slow: str, fast: str) -> float:
        """The same in processor seconds, which neighbours stretch far less."""
        pairs = zip(self.processor[slow], self.processor[fast], strict=True)
        return statistics.median(a / b for a, b in pairs)

    def load(self) -> str:
        return "unknown" if self.others is None else f"{100 * self.others:.0f} %"


def in_turn(calls: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 1) -> Turns:
    """Each contender once a round, the order turned by one every round; `warm_up` rounds are not counted.

    A call that returns a float has timed itself, in seconds (what stands around the work is then left out).
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    processor: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(warm_up):
        for name in names:
            calls[name]()
    with OtherLoad() as other:
        for turn in range(rounds):
            at = turn % len(names)
            for name in names[at:] + names[:at]:
                begun, worked = time.perf_counter(), time.process_time()
                own = calls[name]()
                processor[name].append(time.process_time() - worked)
                seconds[name].append(own if isinstance(own, float) else time.perf_counter() - begun)
    return Turns(seconds, processor, other.share)
