"""Questions with their choices."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Question:
    """What is read before each choice, the choices, and which of them is right (-1: not known)."""

    text: str
    choices: tuple[str, ...]
    answer: int = -1


@dataclass(frozen=True)
class Questions:
    """N of them; each may have as many choices as it likes."""

    rows: tuple[Question, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Iterable[int] | np.ndarray) -> Questions:
        """These rows, in this order."""
        return Questions(tuple(self.rows[int(i)] for i in indices))

    def keys(self) -> list[str]:
        """What is asked: rows that ask the same stay together."""
        return [row.text for row in self.rows]

    @property
    def answers(self) -> np.ndarray:
        """[N]"""
        return np.array([row.answer for row in self.rows], dtype=np.int64)
