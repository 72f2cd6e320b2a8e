"""What `compare` tells while it works. Whoever listens may draw a table, write a log, or do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Job(NamedTuple):
    """One run: a series at a label budget with a seed."""

    series: str
    budget: int
    seed: int


@dataclass(frozen=True)
class Planned:
    """Before the first run. jobs: in the order of work; reused: finished earlier; seconds: a rough guess of the rest."""

    jobs: tuple[Job, ...]
    reused: int
    seconds: float


@dataclass(frozen=True)
class Moved:
    """Progress inside one run, also its start: share in [0, 1] and what is being done."""

    job: Job
    share: float
    doing: str


@dataclass(frozen=True)
class Finished:
    """One run is done and kept on disk. accuracy: on the held-out rows; left: seconds to go, estimated."""

    job: Job
    accuracy: float
    seconds: float
    reused: bool
    left: float


@dataclass(frozen=True)
class Failed:
    """A run that could not be done; the other contenders go on."""

    job: Job
    why: str


@dataclass(frozen=True)
class Working:
    """A step after the runs: measuring speed, computing intervals, writing the report."""

    doing: str


Event = Planned | Moved | Finished | Failed | Working
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that does nothing."""
