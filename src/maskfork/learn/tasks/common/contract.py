"""What a task is: the whole way of one job, from columns to a card.

    sources ─read─> split ─train─> trained ─evaluate─> scores
                                      ├─predict─> answers
                                      └─save─> folder ─open─> trained

A module or package `learn/tasks/NAME` with a `TASK` is found by its name; adding one touches no other file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.measure.intervals import Interval

Answer = dict[str, Any]
"""What a model says of one row: plain JSON values. `tokens_lost` is always there: how many tokens were not read."""

Progress = Callable[[float, str], None]  # share done in [0, 1], what is being done


def part_of(progress: Progress | None, begin: float, end: float) -> Progress:
    """For a stage that takes a job from the share `begin` to `end`; tells nobody where there is nobody."""

    def told(share: float, doing: str) -> None:
        if progress is not None:
            progress(begin + (end - begin) * share, doing)

    return told


class Examples(Protocol):
    """N rows of one task's own kind."""

    def __len__(self) -> int: ...

    def take(self, indices: np.ndarray, /) -> Any:
        """These rows [n], in this order."""
        ...


E = TypeVar("E", bound=Examples)


@dataclass(frozen=True)
class Sources:
    """The user's files. `columns` maps a role of the task (`text`, `label` ...) to the column that the user named for it."""

    train: Path
    validation: Path | None = None
    test: Path | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    test_share: float = 0.2  # held out of `train` where no test rows are given
    seed: int = 0

    @property
    def judged_only(self) -> bool:
        """`train` and `test` are one file: nothing is trained, and all of its rows are judged."""
        return self.test is not None and self.test.resolve() == self.train.resolve()


@dataclass(frozen=True)
class Split(Generic[E]):
    """Rows to learn from, to choose by (None: the training keeps some back), and to be judged on (None: there are none).

    `notes` are full sentences: which column was taken for what, what was left out and how much of it, how it was split.
    `copies_told`: copies, leaks and contradictions are among them, so nobody needs to look for them again.
    """

    train: E
    validation: E | None
    test: E | None
    notes: tuple[str, ...] = ()
    copies_told: bool = False


@dataclass(frozen=True)
class Scores:
    """What was measured on `rows` rows: each score with its interval; `main` names the one that decides."""

    main: str
    values: Mapping[str, Interval]
    rows: int
    notes: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)  # tables by label, curves: plain JSON values


class Trained(ABC):
    """A model that does the task."""

    task: ClassVar[str]
    notes: list[str]  # full sentences on how it was trained and what was lost

    @abstractmethod
    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """One answer a row, in their order. A row is a mapping by the task's roles (`{"text": ...}`). Raises DataError."""

    @abstractmethod
    def evaluate(self, examples: Any) -> Scores:
        """Scores with intervals on labelled rows."""

    @abstractmethod
    def save(self, folder: Path) -> Path:
        """All that predicting needs, in the layout of the Hub where it has one; maskfork.json by `models.about.describe`."""


@dataclass(frozen=True)
class Role:
    """A column that the task reads: the names that the ecosystem gives it, most telling first."""

    name: str
    about: str
    known_as: tuple[str, ...] = ()
    needed: bool = True


class Task(ABC, Generic[E]):
    """One job."""

    name: ClassVar[str]
    about: ClassVar[str]  # a line for the help
    roles: ClassVar[tuple[Role, ...]]
    settings: ClassVar[type[TaskSettings]] = TaskSettings
    base: ClassVar[str | None] = "all-MiniLM-L6-v2"  # what is trained where the user names no model; None where it must be named
    such_as: ClassVar[str] = ""  # a model of the Hub that could be, where base is None
    heads: ClassVar[tuple[str, ...]] = ()  # a foreign folder whose config.json names one of these heads is opened by this task

    @abstractmethod
    def read(self, sources: Sources, settings: TaskSettings) -> Split[E]:
        """Files to examples; what was mapped to what is in `Split.notes`. Raises DataError."""

    def read_for(self, trained: Trained, sources: Sources, settings: TaskSettings) -> Split[E]:
        """All rows of one file to judge `trained` by, read as it answers. Raises DataError."""
        return self.read(sources, settings)

    @abstractmethod
    def train(
        self,
        base: str | Path,
        split: Split[E],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Trained:
        """Train `base` on `split.train`. With `work`, a folder, a run that was cut off goes on from there. Never reads `test`."""

    @abstractmethod
    def open(self, folder: Path) -> Trained:
        """What `Trained.save` wrote, or a foreign folder with one of `heads`. Raises ModelError."""
