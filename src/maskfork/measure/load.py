"""How much of the machine others took while we measured, from /proc/stat against our own processor time (Linux)."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

_STAT = Path("/proc/stat")
_SHORTEST = 0.05  # seconds: /proc/stat counts hundredths, so a shorter pass has no share worth the name


def _busy_seconds() -> float | None:
    """Processor seconds that all processes together have used since boot; None where the system does not tell."""
    if not _STAT.exists():
        return None
    fields = [int(f) for f in _STAT.read_text("ascii").splitlines()[0].split()[1:9]]
    user, nice, system, _idle, _iowait, irq, softirq, steal = fields
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


@dataclass
class OtherLoad:
    """`with OtherLoad() as other: work()`; then `other.share` in 0..1.

    share   processor time of other processes (and time stolen by the host) by processors by wall time; None where the
            system does not tell or the work took under 0.05 s
    wall    seconds

    Inside a container /proc/stat is usually the host's: neighbours' load counts, as it should, against all the host's
    processors. Children of ours count as ours once they have ended.
    """

    share: float | None = None
    wall: float = 0.0

    def __enter__(self) -> OtherLoad:
        self._busy, self._own, self._start = _busy_seconds(), _own_seconds(), time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.wall = time.perf_counter() - self._start
        busy, own = _busy_seconds(), _own_seconds()
        if busy is None or self._busy is None or self.wall < _SHORTEST:
            return
        others = (busy - self._busy) - (own - self._own)
        self.share = min(1.0, max(0.0, others / (self.wall * (os.cpu_count() or 1))))
