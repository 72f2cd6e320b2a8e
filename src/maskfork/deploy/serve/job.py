"""One request's texts on their way through a model."""

from __future__ import annotations

from asyncio import AbstractEventLoop, Future
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """One text as its model reads it: `what` goes into the model, `tokens` is its share of a batch, `lost` was not read."""

    what: Any
    tokens: int
    lost: int = 0


@dataclass(frozen=True)
class Done:
    """Answers [N] in the order of the texts, and how many tokens of each were read and were not."""

    answers: list[Any]
    tokens: list[int]
    lost: list[int]
    waited_ms: float = 0.0


@dataclass(eq=False)
class Job:
    """N rows to be answered in the way `how`; texts of jobs with one `how` share a batch.

    `guess` is how many tokens they were thought to have before they were read, `expected` how many seconds they would take from
    `came` on. `gone`: nobody waits any more.
    """

    rows: Sequence[Mapping[str, Any]]
    how: Hashable
    truncate: bool
    guess: float
    expected: float
    loop: AbstractEventLoop
    future: Future[Done]
    came: float
    gone: bool = False
    items: list[Item] = field(default_factory=list)
    next: int = 0  # the first text that is in no batch yet
    answers: list[Any] = field(default_factory=list)
    left: int = 0  # texts without an answer
    started: float | None = None

    def read(self, items: list[Item]) -> None:
        self.items, self.answers, self.left = items, [None] * len(items), len(items)

    def done(self) -> Done:
        waited = 0.0 if self.started is None else 1000 * (self.started - self.came)
        return Done(self.answers, [i.tokens for i in self.items], [i.lost for i in self.items], waited)
