"""One corpus as an endless row of stretches, with a place that three numbers say."""

from __future__ import annotations

import numpy as np

from maskfork.learn.data.corpus.corpus import IntArray
from maskfork.learn.data.corpus.order import Order
from maskfork.learn.data.corpus.stream import Stream

Stretch = tuple[int, int]


class Feed:
    """`given` counts the tokens that it gave; `epoch` that of the last stretch."""

    def __init__(self, stream: Stream, order: Order, weight: float = 1.0) -> None:
        self.stream, self.order, self.weight = stream, order, weight
        self.epoch = self.pool = self.place = self.given = 0
        self._held: tuple[int, int, IntArray] | None = None

    def peek_end(self) -> bool:
        """Whether the next stretch is of another epoch."""
        return self.pool >= self.order.pools(self.epoch)

    def next(self) -> Stretch:
        """(first place, length) of the next stretch."""
        if self.peek_end():
            self.epoch, self.pool, self.place = self.epoch + 1, 0, 0
        stretches = self._stretches()
        start, length = stretches[self.place]
        self.place += 1
        self.given += int(length)
        if self.place == len(stretches):
            self.pool, self.place = self.pool + 1, 0
        return int(start), int(length)

    def _stretches(self) -> IntArray:
        if self._held is None or self._held[:2] != (self.epoch, self.pool):
            self._held = (self.epoch, self.pool, self.order.stretches(self.epoch, self.pool))
        return self._held[2]

    def state(self) -> list[int]:
        return [self.epoch, self.pool, self.place, self.given]

    def load(self, state: list[int]) -> None:
        self.epoch, self.pool, self.place, self.given = (int(value) for value in state)


def next_feed(feeds: list[Feed]) -> int:
    """The one that is furthest behind its weight: shares are exact in the long run, and nothing is drawn."""
    return int(np.argmin([feed.given / feed.weight for feed in feeds]))
