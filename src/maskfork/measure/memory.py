"""Peak memory of this process and size of a folder on disk. MB are 10^6 bytes throughout."""

from __future__ import annotations

import re
import resource
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from maskfork.errors import ModelError

T = TypeVar("T")
_PROCESSES = Path("/proc")


@dataclass(frozen=True)
class Peak(Generic[T]):
    """What a call returned, the highest resident memory of the process while it ran, and that just before (MB)."""

    result: T
    peak_mb: float
    before_mb: float

    @property
    def added_mb(self) -> float:
        """By how much the call raised resident memory at its peak, not below 0."""
        return max(0.0, self.peak_mb - self.before_mb)


def resident_mb(process: int) -> float | None:
    """What a process holds in memory now, without its children; None where the system does not tell."""
    return _status_mb("VmRSS", str(process))


def _status_mb(field: str, process: str = "self") -> float | None:
    status = _PROCESSES / process / "status"
    if not status.exists():
        return None
    found = re.search(rf"{field}:\s+(\d+) kB", status.read_text("ascii"))
    return int(found.group(1)) * 1024 / 1e6 if found else None


def peak_memory_mb() -> float:
    """Highest resident memory of this process since its program began: Python, libraries, weights and activations.

    Linux: VmHWM of /proc/self/status. Elsewhere `ru_maxrss`, which over a fork may carry the parent's peak. It never
    goes down: to weigh one contender, ask in a fresh process that has loaded that one alone. Pages of a memory-mapped
    weight file count once touched. Memory of a GPU is not in it.
    """
    mark = _status_mb("VmHWM")
    if mark is not None:
        return mark
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def peak_of_call(call: Callable[[], T], every: float = 0.002) -> Peak[T]:
    """Run `call` and sample resident memory (VmRSS) every `every` seconds beside it; the high-water mark where it rose.

    The high-water mark of a process cannot be set back without rights that a library should not ask for, so a peak
    below an earlier one is sampled: a rise shorter than `every`, or within one C call that holds the interpreter, may be
    missed. Where the system has no VmRSS, the high-water marks before and after are given.
    """
    before, mark = _status_mb("VmRSS"), peak_memory_mb()
    if before is None:
        result = call()
        return Peak(result, peak_memory_mb(), mark)
    seen, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(every):
            seen.append(_status_mb("VmRSS") or 0.0)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        result = call()
    finally:
        done.set()
        watcher.join()
    seen.append(_status_mb("VmRSS") or 0.0)
    after = peak_memory_mb()
    return Peak(result, after if after > mark else max(seen), before)


def disk_mb(path: str | Path) -> float:
    """Bytes of a file, or of all files below a folder, in MB; a link counts as what it points to, each file once.

    Hub caches keep a folder of links to blobs: the blobs are what takes the room. ModelError where nothing is there.
    """
    root = Path(path)
    if not root.exists():
        raise ModelError(f"There is nothing at {root} to weigh; give the folder that the model was saved to.")
    files = [root] if root.is_file() else [f for f in root.rglob("*") if f.is_file()]
    sizes = {f.resolve(): f.stat().st_size for f in files}
    return sum(sizes.values()) / 1e6
