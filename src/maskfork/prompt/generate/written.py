"""What came of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

#: a text ended by its own end token (or as its form is complete), by one of the stop strings, by the number of tokens, by the
#: model's last position; or was closed, because its form would not have been complete when the tokens run out
Reason = Literal["end", "stop", "length", "positions", "closed"]
#: called after every step with the row and the new token of each text that is still being written
OnTokens = Callable[[list[tuple[int, int]]], None]


@dataclass(frozen=True)
class Drafted:
    """Tokens that were guessed, how many of them were kept, and the passes of the model that it took."""

    guessed: int
    kept: int
    passes: int

    @property
    def rate(self) -> float:
        return self.kept / self.guessed if self.guessed else 0.0


@dataclass(frozen=True, eq=False)
class Written:
    """ids [N, S]: prompts (an encoder-decoder's first tokens) and what was written, filled up with padding on the right.

    `new` is what was written, a list of token ids a text, with the token that ended it. With `logprobs`, each written
    token's log probability by the model itself, before any penalty or filter; `alternatives` are then the likeliest tokens
    and their log probabilities at each place. `scores` are the beams' (summed log probabilities over length ** penalty).
    """

    ids: Tensor
    new: list[list[int]]
    reasons: list[Reason]
    logprobs: list[list[float]] | None = None
    alternatives: list[list[list[tuple[int, float]]]] | None = None
    scores: list[float] | None = None
    notes: list[str] = field(default_factory=list)
    drafted: Drafted | None = None
