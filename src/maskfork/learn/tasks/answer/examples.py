"""Questions on contexts, with their gold answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Gold = tuple[str, int]  # text, first character in the context; -1 where it does not stand there


@dataclass(frozen=True)
class Questions:
    """N questions. `answers` [N] is empty where there is none; `with_no_answer`: the set knows such questions (SQuAD v2.0)."""

    keys: tuple[str, ...]
    questions: tuple[str, ...]
    contexts: tuple[str, ...]
    answers: tuple[tuple[Gold, ...], ...]
    with_no_answer: bool

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, indices: Iterable[int] | np.ndarray) -> Questions:
        """These rows, in this order."""
        where = [int(i) for i in indices]
        return Questions(
            tuple(self.keys[i] for i in where),
            tuple(self.questions[i] for i in where),
            tuple(self.contexts[i] for i in where),
            tuple(self.answers[i] for i in where),
            self.with_no_answer,
        )

    def gold(self) -> list[list[str]]:
        """The texts of the gold answers of each question."""
        return [[text for text, _ in answers] for answers in self.answers]
