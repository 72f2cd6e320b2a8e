"""Texts that llama.cpp reads: each is a line of it, and all lines share one room for tokens.

A text that begins as one that is being written takes over what that has read, token for token; what has ended is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from maskfork.models.model import Model
from maskfork.prompt.generate.engine.pages import Held
from maskfork.prompt.generate.engine.store import Part
from maskfork.prompt.generate.llama import open_file
from maskfork.prompt.generate.prompts import shared


@dataclass(eq=False)
class Line(Held):
    """`ids` are the tokens that have been read, `aside` how many it has room for."""

    number: int = 0
    ids: list[int] = field(default_factory=list)
    aside: int = 0


class LlamaLines:
    """Room for `rows` texts at once and `room` tokens of all of them, in a context of its own."""

    size = 1

    def __init__(self, model: Model, rows: int, room: int) -> None:
        """Raises UsageError, ModelError."""
        self._file, self.room, self.shared = open_file(model), room, 0
        self._file.begin(rows, -(-room // rows))
        self._memory = self._file.c.llama_get_memory(self._file.context)
        self._free, self._lines = list(range(rows)), dict[int, Line]()

    def holds(self, length: int) -> bool:
        """As `Store.holds`."""
        return length <= self.room

    def stored(self, ids: Sequence[int]) -> int:
        """As `Store.stored`."""
        return max((shared(ids[:-1], line.ids) for line in self._lines.values()), default=0)

    def begin(self, ids: Sequence[int]) -> Held:
        """As `Store.begin`."""
        same, source = max(((shared(ids[:-1], line.ids), line.number) for line in self._lines.values()), default=(0, 0))
        line = Line(length=same, number=self._free.pop(), ids=list(ids[:same]), aside=same)
        if same:
            self._file.c.llama_memory_seq_cp(self._memory, source, line.number, 0, same)
        self._lines[line.number] = line
        self.shared += same
        return line

    def reach(self, held: Held, length: int) -> bool:
        """As `Store.reach`; what two lines share is counted twice."""
        line = _line(held)
        if length + sum(other.aside for other in self._lines.values() if other is not line) > self.room:
            return False
        line.aside = max(line.aside, length)
        return True

    def filled(self, held: Held, ids: Sequence[int]) -> None:
        """As `Store.filled`."""
        line = _line(held)
        line.ids += ids[len(line.ids) : line.length]

    def drop(self, held: Held) -> None:
        """As `Store.drop`."""
        if isinstance(held, Line) and self._lines.pop(held.number, None) is held:
            self._file.c.llama_memory_seq_rm(self._memory, held.number, -1, -1)
            self._free.append(held.number)

    def read(self, parts: Sequence[Part], last: Sequence[Part]) -> Tensor | None:
        """As `Store.read`, in one pass of llama.cpp's."""
        entries: list[tuple[int, int, int, bool]] = []
        for wanted, some in ((False, parts), (True, last)):
            for held, ids in some:
                entries += [(token, held.length + i, _line(held).number, wanted) for i, token in enumerate(ids)]
                held.length += len(ids)
        scores = self._file.read(entries)
        return torch.from_numpy(np.stack(scores)) if scores else None


def _line(held: Held) -> Line:
    assert isinstance(held, Line)  # `begin` made it
    return held
