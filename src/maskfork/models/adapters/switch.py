"""Which adapter is on: one for all, none, or one for each row of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from maskfork.errors import UsageError


class Switch:
    """All that adapters change looks here. `rows` names one adapter (or None) a row; it goes before `active`."""

    def __init__(self) -> None:
        self.active: str | None = None
        self.rows: tuple[str | None, ...] | None = None

    @property
    def on(self) -> tuple[str, ...]:
        """The names that are in use, each once."""
        wanted = (self.active,) if self.rows is None else self.rows
        return tuple(dict.fromkeys(name for name in wanted if name is not None))

    def groups(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each adapter in use with the indices into x's first axis that are its rows'.

        x is [B, ...], or [B * n, E] with a row's n tokens together.
        """
        rows = self.rows or ()
        times = 1 if x.shape[0] == len(rows) else x.shape[0] // max(len(rows), 1)
        if times * len(rows) != x.shape[0] or (times > 1 and x.dim() != 2):
            raise UsageError(f"{len(rows)} rows have an adapter each and {x.shape[0]} came: name one for each row of the batch")
        numbers = torch.arange(times, device=x.device)
        for name in self.on:
            own = torch.tensor([i for i, other in enumerate(rows) if other == name], device=x.device)
            yield name, (own[:, None] * times + numbers).flatten()

    def names(self, count: int) -> Sequence[str | None]:
        """The adapter of each of `count` sequences. Raises UsageError where rows were named and they are another number."""
        if self.rows is None:
            return (self.active,) * count
        if len(self.rows) != count:
            raise UsageError(f"{len(self.rows)} rows have an adapter each and {count} came: name one for each row of the batch")
        return self.rows
