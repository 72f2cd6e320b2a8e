"""The ways in which a model can be asked; texts that are asked in one way share a batch.

`last`: of a text that is too long its last tokens are read, not its first ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rows:
    """Whole rows, as `maskfork predict` answers them: every model can. Rows with other keys make other batches."""

    keys: frozenset[str]

    @staticmethod
    def of(rows: Sequence[Mapping[str, Any]]) -> Rows:
        return Rows(frozenset(key for row in rows for key in row))


@dataclass(frozen=True)
class Labels:
    """A classifier: rows {"text"} and {"text", "pair"}, also together."""

    last: bool = False


@dataclass(frozen=True)
class Vectors:
    """How texts become vectors; `prompt` is a name, None the model's default. Rows {"text"} and {"ids"}."""

    prompt: str | None = None
    normalize: bool = True
    dimensions: int | None = None
    last: bool = False


@dataclass(frozen=True)
class TokenVectors:
    """Every token's own vector. Rows {"text"} and {"ids"}."""

    prompt: str | None = None
    last: bool = False


@dataclass(frozen=True)
class Relevance:
    """How documents are scored; `raw`: without the model's activation. Rows {"query", "document"}."""

    raw: bool = False
    last: bool = False


@dataclass(frozen=True)
class Scores:
    """How texts are scored: each token's log probability, and the `best` likeliest at its place. Rows {"ids"}."""

    best: int = 0
