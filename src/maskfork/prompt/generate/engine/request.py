"""One text while the engine writes it.

Legend: S tokens so far, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from maskfork.prompt.generate.chain import Chain
from maskfork.prompt.generate.constraints.guard import Guard
from maskfork.prompt.generate.engine.pages import Held
from maskfork.prompt.generate.engine.ticket import Said, Ticket
from maskfork.prompt.generate.lines import picker
from maskfork.prompt.generate.seen import Seen
from maskfork.prompt.generate.stops import Stops
from maskfork.prompt.generate.written import Reason


@dataclass(eq=False)
class Request:
    """`ids` [1, longest] hold `at` tokens, of which the first `start` were given; `held` says which of them are stored, once the
    text has `begun`."""

    ticket: Ticket
    ids: Tensor
    start: int
    chain: Chain
    stops: Stops
    cut_by: Reason
    draw: bool
    generator: torch.Generator | None
    logprobs: int | None
    guard: Guard | None
    held: Held = field(default_factory=Held)
    begun: bool = False
    at: int = 0

    @property
    def tokens(self) -> list[int]:
        return self.ids[0, : self.at].tolist()

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is all that is asked for."""
        return not (self.draw or self.chain.links or self.logprobs is not None)

    def write(self, logits: Tensor, likeliest: int) -> Reason | None:
        """Choose the next token from the model's scores [1, V], hand it out, and say why the text ends, if it does."""
        token = likeliest if self.plain else self._chosen(logits)
        self.ids[0, self.at] = token
        self.at += 1
        self.ticket.put(self._said(token, logits))
        if self.guard is not None:
            if bool(self.guard.over(_FIRST)):
                return "closed" if self.guard.closed() else "end"
        elif token in self.stops.ends:
            return "end"
        if self.stops.strings and bool(self.stops.at_string(self.ids[:, self.start : self.at])):
            return "stop"
        if self.at < self.ids.shape[1]:
            return None
        return "closed" if self.guard is not None and self.guard.closed() else self.cut_by

    def _chosen(self, logits: Tensor) -> int:
        scores = self.chain(Seen(self.ids[:, : self.at], self.start, rows=_FIRST), logits)
        pick = picker(scores, _FIRST, 1, self.generator, draw=self.draw)
        tokens = pick(scores) if self.guard is None else self.guard.choose(_FIRST, _ALIVE, scores, pick)
        return int(tokens)

    def _said(self, token: int, logits: Tensor) -> Said:
        if self.logprobs is None:
            return Said(token)
        logp = logits[0].log_softmax(-1)
        best = logp.topk(min(self.logprobs, len(logp)))
        return Said(token, float(logp[token]), tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)))


_FIRST, _ALIVE = torch.zeros(1, dtype=torch.long), torch.ones(1, dtype=torch.bool)
