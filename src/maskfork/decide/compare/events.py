"""What `compare` tells while it works. Whoever listens may draw a table, write a log, or do nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Planned:
    """Before the first run. names: "series @ budget" in the order of the report; seconds: a rough estimate."""

    names: tuple[str, ...]
    runs: int
    reused: int
    seconds: float


@dataclass(frozen=True)
class Started:
    name: str
    seed: int


@dataclass(frozen=True)
class Moved:
    """Progress inside one run: share in [0, 1] and what is being done."""

    name: str
    seed: int
    share: float
    doing: str


@dataclass(frozen=True)
class Finished:
    """One run is done and kept on disk. accuracy: of this run on the held-out rows; left: seconds, estimated."""

    name: str
    seed: int
    accuracy: float
    seconds: float
    reused: bool
    done: int
    runs: int
    left: float


@dataclass(frozen=True)
class Failed:
    """One contender could not go on; the others do."""

    name: str
    seed: int
    why: str


@dataclass(frozen=True)
class Working:
    """A step after the runs: measuring speed, computing intervals, writing the report."""

    doing: str


Event = Planned | Started | Moved | Finished | Failed | Working
Listener = Callable[[Event], None]


def silent(event: Event) -> None:
    """A listener that does nothing."""
