"""Texts written through guesses, one text after the other. What comes is what would have come without them.

    text       the cat sat
    guessed                on  the dog and
    model says          on the mat                      one pass over all guesses: "on the" is kept, "mat" put for "dog"

Where tokens are drawn, a guess x made with the chance q(x) is kept with the chance min(1, p(x) / q(x)); else a token is drawn
from what is left, max(p - q, 0). So each token has the distribution p (Leviathan et al. 2023, appendix A.1; Chen et al. 2023).

Legend: N guesses, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from maskfork.core.cache import Cache
from maskfork.models.model import Model
from maskfork.prompt.generate.chain import Chain
from maskfork.prompt.generate.drafts.drafter import Drafter
from maskfork.prompt.generate.prompts import Prompts
from maskfork.prompt.generate.reading import Reading, scores_of
from maskfork.prompt.generate.seen import Seen
from maskfork.prompt.generate.stops import Stops
from maskfork.prompt.generate.written import Drafted, OnTokens, Reason, Written

FIRST, MOST = 5, 16  # guesses at first, and at most


@dataclass
class _Counts:
    guessed: int = 0
    kept: int = 0
    passes: int = 0


def write_drafted(
    model: Model,
    drafter: Drafter,
    prompts: Prompts,
    chain: Chain,
    stops: Stops,
    *,
    draw: bool = False,
    generator: torch.Generator | None = None,
    on_tokens: OnTokens | None = None,
) -> Written:
    """Write after each prompt of a decoder."""
    ids, counts = prompts.room(), _Counts()
    ended: list[Reason] = []
    for row in range(len(ids)):
        line = _Line(model, drafter, prompts, chain, stops, draw, generator, counts)
        ended.append(line.write(ids[row : row + 1], row, on_tokens))
    written = prompts.finished(ids, ended)
    return replace(written, drafted=Drafted(counts.guessed, counts.kept, counts.passes))


@dataclass
class _Line:
    """One text."""

    model: Model
    drafter: Drafter
    prompts: Prompts
    chain: Chain
    stops: Stops
    draw: bool
    generator: torch.Generator | None
    counts: _Counts

    def write(self, ids: Tensor, row: int, on_tokens: OnTokens | None) -> Reason:
        """Fill `ids` [1, longest] behind the prompt; why it ended."""
        start, end = self.prompts.ids.shape[1], ids.shape[1]
        reading = Reading(self.model, cache=Cache(end))
        given = ids[:, :start][ids[:, :start] >= 0][None]
        logits, at, guesses, chances = reading.read(given), start, list[int](), None
        many = FIRST
        while True:
            self.counts.passes += 1
            ids[0, at : at + len(guesses)] = torch.tensor(guesses, dtype=ids.dtype, device=ids.device)
            kept = 0
            for i in range(len(guesses) + 1):
                scores = self.chain(Seen(ids[:, : at + i], start), logits[i : i + 1])
                token, agreed = self._choose(scores, guesses[i : i + 1], None if chances is None else chances[i : i + 1])
                ids[0, at + i], kept = token, kept + agreed
                if on_tokens is not None:
                    on_tokens([(row, token)])
                reason = self._why(ids[:, start : at + i + 1], at + i + 1 == end)
                if reason is not None:
                    ids[0, at + i + 1 :] = -1
                    self.counts.kept += kept
                    return reason
                if not agreed:
                    break
            self.counts.kept += kept
            many = min(MOST, many + 2) if kept == len(guesses) else max(1, many - 1)
            at += kept + 1
            ids[0, at:] = -1
            written = ids[0, :at][ids[0, :at] >= 0].tolist()
            reading.cache.crop(len(written) - 1)
            room = min(many, end - at - 1)
            guesses, chances = ([], None) if room < 1 else self.drafter.guess(
                written, Seen(ids[:, :at], start), self.chain, room, self.generator, draw=self.draw
            )  # fmt: skip
            self.counts.guessed += len(guesses)
            tokens = torch.tensor([[written[-1], *guesses]], device=ids.device)
            logits = scores_of(reading.step(tokens, all_places=True))[0]

    def _choose(self, scores: Tensor, guess: list[int], chances: Tensor | None) -> tuple[int, bool]:
        """The token [1, V] -> id, and whether it is the guess."""
        if not self.draw:
            token = int(scores.argmax(-1))
            return token, guess == [token]
        left = scores.softmax(-1)
        if guess:
            p, q = float(left[0, guess[0]]), 1.0 if chances is None else float(chances[0, guess[0]])
            if float(torch.rand((), generator=self.generator, device=left.device)) * q < p:
                return guess[0], True
            if chances is None:
                left[0, guess[0]] = 0.0
            else:
                left = (left - chances).clamp_min(0.0)
        return int(torch.multinomial(left, 1, generator=self.generator)), False

    def _why(self, written: Tensor, last: bool) -> Reason | None:
        if bool(self.stops.at_end(written[:, -1])):
            return "end"
        if bool(self.stops.at_string(written)):
            return "stop"
        return self.prompts.cut_by if last else None
