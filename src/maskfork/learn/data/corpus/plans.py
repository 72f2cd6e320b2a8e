"""Which stretches of which corpus make up a batch, row by row: three layouts and nanoGPT's draw."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np

from maskfork.learn.data.corpus.feed import Feed, next_feed


class Taken(NamedTuple):
    """A stretch of feed `feed`."""

    feed: int
    start: int
    length: int


Row = list[Taken]
LOOK = 64  # stretches that may wait for a row with room
LEAST = 8  # tokens that a rest must have to be worth a sequence
GROUP = 16  # padded batches whose texts are sorted by length together


class Planner(ABC):
    """Batches as rows of stretches. `room`: tokens of a row without the special tokens around one sequence, `extra` these."""

    def __init__(self, feeds: list[Feed], rows: int, room: int, extra: int, epochs: int | None, seed: int) -> None:
        self.feeds, self.rows, self.room, self.extra, self.epochs, self.seed = feeds, rows, room, extra, epochs, seed

    @property
    def epoch(self) -> int:
        """Of the last batch; of several corpora, how often all of them have been read."""
        return min(feed.epoch for feed in self.feeds)

    def take(self) -> Taken | None:
        """The next stretch, None after the last epoch."""
        number = next_feed(self.feeds)
        feed = self.feeds[number]
        if self.epochs is not None and feed.peek_end() and feed.epoch + 1 >= self.epochs:
            return None
        return Taken(number, *feed.next())

    @abstractmethod
    def plan(self) -> list[Row]:
        """The next batch; no rows after the last epoch."""

    def state(self) -> dict[str, Any]:
        return {"feeds": [feed.state() for feed in self.feeds]}

    def load(self, state: dict[str, Any]) -> None:
        for feed, said in zip(self.feeds, state["feeds"], strict=True):
            feed.load(said)


class Windows(Planner):
    """Every row is one stretch."""

    def plan(self) -> list[Row]:
        found: list[Row] = []
        while len(found) < self.rows and (one := self.take()) is not None:
            found.append([one])
        return found


class RandomWindows(Planner):
    """nanoGPT's: every row begins anywhere, nothing is remembered."""

    step = 0

    @property
    def epoch(self) -> int:
        return self.step * self.rows * self.room // sum(feed.stream.total for feed in self.feeds)

    def plan(self) -> list[Row]:
        rng = np.random.default_rng([self.seed, self.step])
        self.step += 1
        weights = np.asarray([feed.weight for feed in self.feeds], dtype=np.float64)
        chosen = rng.choice(len(self.feeds), size=self.rows, p=weights / weights.sum())
        lots = rng.random(self.rows)
        found: list[Row] = []
        for number, lot in zip(chosen.tolist(), lots.tolist(), strict=True):
            total = self.feeds[number].stream.total
            found.append([Taken(number, int(lot * (total - self.room + 1)), self.room)])
        return found

    def state(self) -> dict[str, Any]:
        return {"step": self.step}

    def load(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])


class Packed(Planner):
    """Rows filled with several stretches. A stretch goes to the first row with room, or waits; `whole`: none is cut further."""

    def __init__(self, *given: Any, whole: bool) -> None:
        super().__init__(*given)
        self.whole = whole
        self.waiting: list[Taken] = []

    def plan(self) -> list[Row]:
        width = self.room + self.extra
        rows: list[Row] = [[] for _ in range(self.rows)]
        free = [width] * self.rows
        first = 0  # rows before this one are full
        waiting: list[Taken] = []
        least = self.extra + (1 if self.whole else LEAST)
        old = iter(self.waiting)
        while first < self.rows and len(waiting) < LOOK:
            one = next(old, None) or self.take()
            if one is None:
                break
            need = one.length + self.extra
            place = next((i for i in range(first, self.rows) if free[i] >= need), None)
            if place is None:
                waiting.append(one)
                continue
            rows[place].append(one)
            free[place] -= need
            while first < self.rows and free[first] < least:
                first += 1
        waiting += old
        if not self.whole:
            self._fill(rows, free, waiting)
        self.waiting = waiting
        return [row for row in rows if row]

    def _fill(self, rows: list[Row], free: list[int], waiting: list[Taken]) -> None:
        """What is left of a row gets the beginning of a stretch that waits."""
        for number, row in enumerate(rows):
            while waiting and free[number] >= self.extra + LEAST:
                one = waiting.pop(0)
                took = min(one.length, free[number] - self.extra)
                row.append(Taken(one.feed, one.start, took))
                free[number] -= took + self.extra
                if took < one.length:
                    waiting.insert(0, Taken(one.feed, one.start + took, one.length - took))

    def state(self) -> dict[str, Any]:
        return {**super().state(), "waiting": [list(one) for one in self.waiting]}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self.waiting = [Taken(*one) for one in state["waiting"]]


class Padded(Planner):
    """Texts of like lengths together; `rows` x (room + extra) tokens bound a batch, padding included."""

    def __init__(self, *given: Any, sort: bool) -> None:
        super().__init__(*given)
        self.sort = sort
        self._began: dict[str, Any] = super().state()
        self._batches: list[list[Row]] = []
        self._next = 0

    def plan(self) -> list[Row]:
        if self._next == len(self._batches):
            self._gather()
        if not self._batches:
            return []
        self._next += 1
        return self._batches[self._next - 1]

    def _gather(self) -> None:
        self._began, self._next = super().state(), 0
        budget = self.rows * (self.room + self.extra)
        held: list[Taken] = []
        tokens = 0
        while tokens < GROUP * budget and (one := self.take()) is not None:
            held.append(one)
            tokens += one.length + self.extra
        if self.sort:
            held.sort(key=lambda one: -one.length)
        batches: list[list[Row]] = []
        longest = 0
        for one in held:
            longest = max(longest, one.length + self.extra)
            if not batches or (len(batches[-1]) + 1) * longest > budget:
                batches.append([])
                longest = one.length + self.extra
            batches[-1].append([one])
        if self.sort:
            seed = [self.seed, *(value for feed in self._began["feeds"] for value in feed)]
            batches = [batches[i] for i in np.random.default_rng(seed).permutation(len(batches))]
        self._batches = batches

    def state(self) -> dict[str, Any]:
        return {**self._began, "batch": self._next}

    def load(self, state: dict[str, Any]) -> None:
        super().load(state)
        self._batches, self._next = [], 0
        if state["batch"]:
            self._gather()
            self._next = int(state["batch"])
