"""What changes the next token's scores by what was written: each a value with one job, in the order of `transformers`.

Padding counts as no text: it is not repeated, and no n-gram holds it. Legend as in seen.py; -inf forbids.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.prompt.generate.seen import Seen

NEVER = float("-inf")


@dataclass(frozen=True)
class SequenceBias:
    """Adds a bias to the token that would complete a sequence; -inf forbids the sequence (bad words)."""

    biases: tuple[tuple[tuple[int, ...], float], ...]

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        out = scores.clone()
        for ids, bias in self.biases:
            *before, last = ids
            if len(before) > seen.ids.shape[1]:
                continue
            end = seen.ids[:, seen.ids.shape[1] - len(before) :]
            follows = (end == torch.tensor(before, device=end.device, dtype=end.dtype)).all(-1)
            out[:, last] += torch.where(follows, bias, 0.0)
        return out


@dataclass(frozen=True)
class RepetitionPenalty:
    """Divides what speaks for tokens already there by `penalty` (Keskar et al. 2019, section 4.1)."""

    penalty: float

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        return _weaken(scores, seen.ids, self.penalty)


@dataclass(frozen=True)
class SourcePenalty:
    """The same for what is not in an encoder's source, by strengthening what is."""

    penalty: float

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        return scores if seen.source is None else _weaken(scores, seen.source, 1 / self.penalty)


@dataclass(frozen=True)
class CountPenalty:
    """Takes `presence` once and `frequency` each time from tokens that were written (OpenAI's two penalties)."""

    presence: float
    frequency: float

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        counts = torch.zeros_like(scores)
        counts.scatter_add_(1, seen.written, torch.ones_like(seen.written, dtype=scores.dtype))
        return scores - self.frequency * counts - self.presence * (counts > 0)


@dataclass(frozen=True)
class NoRepeatNgrams:
    """Forbids the token that would repeat `size` tokens of the text so far, or of the source."""

    size: int
    of_source: bool = False

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        text = seen.source if self.of_source else seen.ids
        length = seen.ids.shape[1]
        if text is None or min(text.shape[1], length + 1) < self.size:
            return scores
        end = seen.ids[:, length - self.size + 1 :]
        windows = text.unfold(1, self.size, 1)
        same = (windows[..., :-1] == end[:, None]).all(-1)
        return scores.masked_fill(_mark(scores, torch.where(same, windows[..., -1], -1)), NEVER)


@dataclass(frozen=True)
class Forbid:
    """Forbids tokens; before `until` tokens stand there, where that is given; only at `at`, where that is given."""

    tokens: tuple[int, ...]
    until: int | None = None
    at: int | None = None

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        length = seen.ids.shape[1]
        if (self.until is not None and length >= self.until) or (self.at is not None and length != self.at):
            return scores
        return scores.index_fill(1, torch.tensor(self.tokens, device=scores.device), NEVER)


@dataclass(frozen=True)
class Force:
    """Only these tokens may follow when `at` tokens stand there."""

    tokens: tuple[int, ...]
    at: int

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        if seen.ids.shape[1] != self.at:
            return scores
        return torch.full_like(scores, NEVER).index_fill(1, torch.tensor(self.tokens, device=scores.device), 0.0)


@dataclass(frozen=True)
class LongerEnds:
    """Makes ends likelier by `factor` ** (tokens written after `start`)."""

    ends: tuple[int, ...]
    start: int
    factor: float

    def __call__(self, seen: Seen, scores: Tensor) -> Tensor:
        beyond = seen.ids.shape[1] - seen.prompt - self.start
        if beyond <= 0:
            return scores
        at = torch.tensor(self.ends, device=scores.device)
        of_ends = scores[:, at]
        more = of_ends.abs() * (self.factor**beyond - 1)
        return scores.index_add(1, at, more.masked_fill(~of_ends.isfinite(), 0.0))


def _mark(scores: Tensor, ids: Tensor) -> Tensor:
    """bool [B, V]: the tokens that a row names; -1 and what the model cannot say name none."""
    vocab = scores.shape[1]
    marked = torch.zeros(scores.shape[0], vocab + 1, dtype=torch.bool, device=scores.device)
    marked.scatter_(1, torch.where((ids < 0) | (ids >= vocab), vocab, ids), True)
    return marked[:, :vocab]


def _weaken(scores: Tensor, ids: Tensor, penalty: float) -> Tensor:
    weaker = torch.where(scores < 0, scores * penalty, scores / penalty)
    return torch.where(_mark(scores, ids), weaker, scores)
