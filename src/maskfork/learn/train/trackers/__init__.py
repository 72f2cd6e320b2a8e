"""Where a run's numbers are shown besides the terminal and metrics.jsonl: nowhere, unless it is asked for.

Each tracker is one file with a `start(folder, settings, step)`. It is imported when its name is given: nobody else needs its
package.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from maskfork.errors import UsageError

TRACKERS = ("tensorboard", "wandb", "mlflow")


class Tracker(Protocol):
    """Takes the lines of metrics.jsonl."""

    def write(self, step: int, numbers: Mapping[str, float], sample: str | None) -> None: ...

    def close(self) -> None: ...


def check_trackers(names: Iterable[str]) -> None:
    """Raises UsageError for a name that there is not, and where its package is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise UsageError(f"there is no tracker {name!r}: choose from {', '.join(TRACKERS)}")
        if find_spec(name) is None:
            raise UsageError(f"{name} is not installed: pip install {name}, or leave --track {name} out")


def start_tracker(name: str, folder: Path, settings: Mapping[str, Any], step: int) -> Tracker:
    """Begin to show the run of `folder`, or go on after `step`. Raises UsageError as `check_trackers` does."""
    check_trackers([name])
    made: Tracker = import_module(f"{__name__}.{name}_run").start(folder, settings, step)
    return made
