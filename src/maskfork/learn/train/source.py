"""Where batches come from: anything that gives one after the other and can say where it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from maskfork.errors import UsageError

B = TypeVar("B")
B_co = TypeVar("B_co", covariant=True)


class Batches(Protocol[B_co]):
    """A source of batches, with a place that is plain data (what JSON holds).

    `epoch` is the one that the last batch belonged to, from 0; it goes up by one each time all has been read. After
    `load_state_dict(state)` the source goes on with the very batch that followed `state_dict()`.
    """

    @property
    def epoch(self) -> int: ...

    def __iter__(self) -> Iterator[B_co]: ...

    def __next__(self) -> B_co: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any], /) -> None: ...


class InMemory(Generic[B]):
    """`count` things in memory, `size` of them a batch, in a new order every epoch; a rest smaller than a batch waits.

    `make` turns the numbers of the chosen things into a batch. Endless.
    """

    def __init__(self, make: Callable[[np.ndarray], B], count: int, size: int, seed: int = 0) -> None:
        if count < size:
            raise UsageError(f"{count} pieces of text do not fill a batch of {size}: give more text or a smaller batch")
        self.make, self.count, self.size, self.seed = make, count, size, seed
        self.epoch, self._next = 0, 0
        self._order = self._shuffled(0)

    @property
    def per_epoch(self) -> int:
        """Batches an epoch."""
        return self.count // self.size

    def __iter__(self) -> Iterator[B]:
        return self

    def __next__(self) -> B:
        if self._next == self.per_epoch:
            self.epoch, self._next = self.epoch + 1, 0
            self._order = self._shuffled(self.epoch)
        start = self._next * self.size
        self._next += 1
        return self.make(self._order[start : start + self.size])

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "next": self._next, "seed": self.seed, "count": self.count, "size": self.size}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Raises UsageError where the state is that of other data."""
        own = self.state_dict()
        for name in ("seed", "count", "size"):
            if state[name] != own[name]:
                raise UsageError(
                    f"the data has changed since the checkpoint was saved ({name} was {state[name]} and is {own[name]}): "
                    "resume with the same data and settings, or start anew in another folder"
                )
        self.epoch, self._next = int(state["epoch"]), int(state["next"])
        self._order = self._shuffled(self.epoch)

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, epoch]).permutation(self.count)


class ByEpoch(Generic[B]):
    """`epochs(n)` gives the batches of the n-th epoch, the same each time it is asked: fine-tuning's way."""

    def __init__(self, epochs: Callable[[int], Iterator[B]]) -> None:
        self.epochs, self.epoch, self._taken = epochs, 0, 0
        self._batches = epochs(0)

    def __iter__(self) -> Iterator[B]:
        return self

    def __next__(self) -> B:
        """Raises UsageError where an epoch has no batch."""
        batch = next(self._batches, None)
        if batch is None and self._taken:
            self.epoch, self._taken = self.epoch + 1, 0
            self._batches = self.epochs(self.epoch)
            batch = next(self._batches, None)
        if batch is None:
            raise UsageError(f"epoch {self.epoch + 1} has no batch to train on: give more data or smaller batches")
        self._taken += 1
        return batch

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "taken": self._taken}

    def load_state_dict(self, state: dict[str, Any], /) -> None:
        """Raises UsageError where the epoch has fewer batches than were taken of it."""
        self.epoch, self._taken = int(state["epoch"]), int(state["taken"])
        self._batches = self.epochs(self.epoch)
        if sum(1 for _ in islice(self._batches, self._taken)) < self._taken:
            raise UsageError("the data has changed since the checkpoint was saved: start anew in another folder")
