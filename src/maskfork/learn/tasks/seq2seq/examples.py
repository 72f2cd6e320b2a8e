"""Texts and what they are to become."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rewritten:
    """N source texts, each with one or more targets that are right."""

    sources: tuple[str, ...]
    targets: tuple[tuple[str, ...], ...]

    def __len__(self) -> int:
        return len(self.sources)

    def take(self, indices: Iterable[int] | np.ndarray) -> Rewritten:
        """These rows, in this order."""
        where = [int(i) for i in indices]
        return Rewritten(tuple(self.sources[i] for i in where), tuple(self.targets[i] for i in where))

    def pairs(self) -> tuple[list[str], list[str]]:
        """(source, target) of every target: what is learnt from."""
        both = [(s, t) for s, targets in zip(self.sources, self.targets, strict=True) for t in targets]
        return [s for s, _ in both], [t for _, t in both]
