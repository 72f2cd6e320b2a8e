"""What is asked and what is to be answered: talks of several messages, or a prompt and its completion."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Talk = tuple[Mapping[str, Any], ...]  # messages: role and content


@dataclass(frozen=True)
class Pair:
    """A prompt, taken as it stands, and what follows it."""

    prompt: str
    completion: str


@dataclass(frozen=True)
class Lessons:
    """N rows, all talks or all pairs."""

    rows: tuple[Talk | Pair, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, indices: Iterable[int] | np.ndarray) -> Lessons:
        """These rows, in this order."""
        return Lessons(tuple(self.rows[int(i)] for i in indices))

    def keys(self) -> list[str]:
        """What is asked, as text: rows that ask the same stay together."""
        return [row.prompt if isinstance(row, Pair) else json.dumps(asked(row), ensure_ascii=False) for row in self.rows]


def asked(talk: Talk) -> list[dict[str, Any]]:
    """A talk without its last answer."""
    return [dict(message) for message in talk[:-1]]
