"""How many cores this process may use: by its affinity and by the quota of its cgroup, not by what the host has."""

from __future__ import annotations

import math
import os
from pathlib import Path

from maskfork.errors import UsageError

CGROUP = Path("/sys/fs/cgroup")
SHARE = "MASKFORK_CORES"  # of a process that shares the cores with others, as a server's worker does


def usable_cores(root: Path = CGROUP) -> int:
    """At least one, and no more than $MASKFORK_CORES. A quota of 1.5 cores is two threads' work."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(root)
    cores = free if quota is None else max(1, min(free, math.ceil(quota)))
    share = os.environ.get(SHARE)
    if share is None:
        return cores
    if not share.isdecimal() or int(share) < 1:
        raise UsageError(f"${SHARE} is {share!r}: give a number of cores")
    return min(cores, int(share))


def _quota(root: Path) -> float | None:
    """Cores by cgroup v2 (cpu.max) or v1 (cpu.cfs_quota_us); None for no limit."""
    try:
        if (root / "cpu.max").is_file():
            most, period = (root / "cpu.max").read_text().split()
        else:
            most, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        return None if most in ("max", "-1") else int(most) / int(period)
    except (OSError, ValueError):  # no cgroup, or one that is read otherwise: no limit is known
        return None
