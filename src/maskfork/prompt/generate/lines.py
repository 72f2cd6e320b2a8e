"""One line a text: the likeliest token each time, or a drawn one. Texts that have ended are no longer computed.

Legend: B texts, A texts still computed, S tokens, P of the prompt, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from maskfork.prompt.generate.chain import Chain
from maskfork.prompt.generate.constraints.guard import Guard
from maskfork.prompt.generate.prompts import Prompts
from maskfork.prompt.generate.reading import Reads
from maskfork.prompt.generate.seen import Seen
from maskfork.prompt.generate.stops import Stops, told
from maskfork.prompt.generate.written import OnTokens, Reason, Written

#: the share of ended texts at which the others go on without them: rows are then copied once
DROP = 0.25


def write_lines(
    reading: Reads,
    prompts: Prompts,
    chain: Chain,
    stops: Stops,
    *,
    draw: bool = False,
    generator: torch.Generator | None = None,
    logprobs: int | None = None,
    on_tokens: OnTokens | None = None,
    guard: Guard | None = None,
) -> Written:
    """Write after each prompt. `logprobs`: how many of the likeliest tokens to tell beside the written one's log probability.

    A `guard`, which is in the chain too, holds the texts to a form.
    """
    rows, start = prompts.ids.shape
    log = _Log(rows, logprobs)
    ids = prompts.room()  # [B, P + new], -1 where nothing is written
    ended: list[Reason] = [prompts.cut_by] * rows
    active = torch.arange(rows, device=ids.device)  # [A] the texts that are computed
    alive = torch.ones_like(active, dtype=torch.bool)  # [A] those of them that go on
    on: slice | Tensor = slice(None)  # the same; a slice while all do
    logits = prompts.begin(reading)
    for at in range(start, ids.shape[1]):
        scores = logits
        if chain.links:
            scores = chain(Seen(ids[active, :at], start, prompts.source_of(active), active), logits)
        pick = picker(scores, active, rows, generator, draw=draw)
        tokens = pick(scores) if guard is None else guard.choose(active, alive, scores, pick)
        ids[active[on], at] = tokens[on]
        if log.top is not None:
            log.add(active[on], logits[on], tokens[on])
        if on_tokens is not None:
            on_tokens(list(zip(active[on].tolist(), tokens[on].tolist(), strict=True)))
        by_end = alive & (stops.at_end(tokens) if guard is None else guard.over(active))
        if stops.strings or bool(by_end.any()):
            by_string = alive & ~by_end
            by_string[by_string.clone()] = stops.at_string(ids[active[by_string], start : at + 1])
            told(ended, active, by_end, by_string)
            on = alive = alive & ~by_end & ~by_string
        going = len(alive) if isinstance(on, slice) else int(alive.sum())
        if at + 1 == ids.shape[1] or not going:
            break
        if going <= (1 - DROP) * len(alive):
            reading.take(alive.nonzero().squeeze(-1))
            active, tokens, alive, on = active[alive], tokens[alive], alive[alive], slice(None)
        logits = reading.read(tokens[:, None])
    for row in guard.closed() if guard is not None else ():
        ended[row] = "closed"
    return log.told(prompts.finished(ids, ended))


def picker(
    scores: Tensor, active: Tensor, rows: int, generator: torch.Generator | None, *, draw: bool
) -> Callable[[Tensor], Tensor]:
    """The likeliest token of each row; or one by its probability: the largest of p / e with e exponential, as
    `torch.multinomial` draws one.

    Numbers are drawn for all texts, ended or not, so that a text does not depend on when the others end. A second pick, from
    scores without the first token, is a draw from the rest.
    """
    if not draw:
        return likeliest
    chances = torch.empty(rows, scores.shape[1], device=scores.device).exponential_(1, generator=generator)[active]
    return lambda left: (left.softmax(-1) / chances).argmax(-1)


def likeliest(scores: Tensor) -> Tensor:
    """[B], the first where several are. On a CPU by numpy, a tenth of torch's time: 5 us for a vocabulary of 50,000."""
    if scores.device.type != "cpu" or scores.dtype != torch.float32:
        return scores.argmax(-1)
    return torch.from_numpy(scores.detach().numpy().argmax(-1))


class _Log:
    """Log probabilities of what was written, where they are asked for."""

    def __init__(self, rows: int, top: int | None) -> None:
        self.top = top
        self.own: list[list[float]] = [[] for _ in range(rows)]
        self.others: list[list[list[tuple[int, float]]]] = [[] for _ in range(rows)]

    def add(self, rows: Tensor, logits: Tensor, tokens: Tensor) -> None:
        assert self.top is not None
        logp = logits.log_softmax(-1)
        own = logp.gather(1, tokens[:, None]).squeeze(1).tolist()
        best = logp.topk(min(self.top, logp.shape[1]))
        listed = zip(rows.tolist(), own, best.indices.tolist(), best.values.tolist(), strict=True)
        for row, value, ids, values in listed:
            self.own[row].append(value)
            self.others[row].append(list(zip(ids, values, strict=True)))

    def told(self, written: Written) -> Written:
        if self.top is None:
            return written
        return Written(written.ids, written.new, written.reasons, self.own, self.others, notes=written.notes)
