"""Several lines at once, the best of which stay (beam search); by lot where sampling is asked for; in groups that differ.

Scores are sums of log probabilities, divided at the end by length ** `length_penalty` (Wu et al. 2016, section 7, without
its constants). Groups: Vijayakumar et al. 2018, section 4. What ends the search is `early_stopping`, as in `transformers`:
True as soon as `num_beams` texts have ended, False when the best open line, as long as it is now, is no better than the worst
of them, "never" when it could not become better however long it gets.

Legend: B texts still searched, G groups, K beams a group, N = B * G * K lines, V vocabulary, C candidates a group.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from maskfork.prompt.generate.chain import Chain
from maskfork.prompt.generate.prompts import Prompts
from maskfork.prompt.generate.reading import Reads
from maskfork.prompt.generate.seen import Seen
from maskfork.prompt.generate.settings import Settings
from maskfork.prompt.generate.stops import Stops
from maskfork.prompt.generate.written import Reason, Written

DEAD = -1e9  # the score of a line that nobody wants


@dataclass
class Found:
    """The best ended lines of a text's group: (score, tokens, why it ended), best first."""

    beams: int
    settings: Settings
    longest: int  # tokens that may be written
    best: list[tuple[float, list[int], Reason]] = field(default_factory=list)
    closed: bool = False  # no open line can be better

    @property
    def full(self) -> bool:
        return len(self.best) == self.beams

    @property
    def done(self) -> bool:
        return self.closed or (self.full and self.settings.early_stopping is True)

    def add(self, ended: list[tuple[float, list[int], Reason]]) -> None:
        """Lines of one step, by their summed log probabilities."""
        if not self.done:
            scored = [(total / len(tokens) ** self.settings.length_penalty, tokens, why) for total, tokens, why in ended]
            self.best = sorted([*self.best, *scored], key=lambda one: -one[0])[: self.beams]

    def close(self, open_total: float, length: int) -> None:
        """`open_total`: the summed log probability of the best open line, of `length` tokens."""
        penalty = self.settings.length_penalty
        at = self.longest if self.settings.early_stopping == "never" and penalty > 0 else length
        worst = self.best[-1][0] if self.full else DEAD
        self.closed |= open_total / at**penalty <= worst


def write_beams(
    reading: Reads, prompts: Prompts, chain: Chain, stops: Stops, settings: Settings, generator: torch.Generator | None = None
) -> Written:
    """The `num_return_sequences` best texts of each prompt, best first."""
    texts, start = prompts.ids.shape
    beams, groups = settings.num_beams // settings.num_beam_groups, settings.num_beam_groups
    lines = prompts.repeated(settings.num_beams)
    ids = lines.room()
    longest = ids.shape[1] - start
    found = [[Found(beams, settings, longest) for _ in range(groups)] for _ in range(texts)]
    searched = list(range(texts))
    running = torch.full((texts, groups, beams), DEAD, device=ids.device)
    running[..., 0] = 0.0  # at first all lines are the same one
    logits = lines.begin(reading)
    source = lines.source
    for at in range(start, ids.shape[1]):
        scores = chain(Seen(ids[:, :at], start, source), logits.log_softmax(-1))
        step = _Step(ids, at, start, stops, prompts.cut_by, settings, generator)
        grouped = scores.view(len(searched), groups, beams, -1)
        rows, tokens, counts = [], [], torch.zeros_like(grouped[:, 0, 0])
        for g in range(groups):
            totals = grouped[:, g] + running[:, g, :, None] - settings.diversity_penalty * counts[:, None]
            chosen = step.choose(totals, [found[text][g] for text in searched], g, groups)
            running[:, g], beam, token = chosen
            rows.append(beam)
            tokens.append(token)
            counts = counts.scatter_add(1, token, torch.ones_like(token, dtype=counts.dtype))
        moved, written = torch.stack(rows, 1).flatten(), torch.stack(tokens, 1).flatten()
        reading.cache.reorder(moved)
        ids = ids[moved]
        ids[:, at] = written
        for i, text in enumerate(searched):
            for g, one in enumerate(found[text]):
                one.close(float(running[i, g, 0]), at + 1 - start)
        open_texts = [i for i, text in enumerate(searched) if not all(one.done for one in found[text])]
        if not open_texts or at + 1 == ids.shape[1]:
            break
        if len(open_texts) < len(searched) and not settings.do_sample:  # drawn lines would be others
            kept = (torch.tensor(open_texts)[:, None] * settings.num_beams + torch.arange(settings.num_beams)).flatten()
            kept = kept.to(ids.device)
            reading.take(kept)
            ids, written, source = ids[kept], written[kept], None if source is None else source[kept]
            running, searched = running[open_texts], [searched[i] for i in open_texts]
        logits = reading.read(written[:, None])
    return _finished(prompts, found, settings, longest)


@dataclass(frozen=True, eq=False)
class _Step:
    """One more token for all lines of a group."""

    ids: Tensor  # [N, S]
    at: int
    start: int
    stops: Stops
    cut_by: Reason
    settings: Settings
    generator: torch.Generator | None

    def choose(self, totals_BKV: Tensor, found: list[Found], group: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, lines they come from and tokens of the K lines that go on, [B, K] each; what has ended is added to `found`."""
        texts, beams, vocab = totals_BKV.shape
        flat = totals_BKV.flatten(1)
        # Enough candidates for K open lines to be left, whichever ends the others take.
        count = min(max(2, 1 + len(self.stops.ends)) * beams, flat.shape[1])
        if self.settings.do_sample:
            index = torch.multinomial(flat.softmax(-1), count, generator=self.generator)
            best = flat.gather(1, index)
        else:
            best, index = flat.topk(count)
        first = (torch.arange(texts, device=flat.device) * groups + group)[:, None] * beams
        line, token = first + index // vocab, index % vocab
        by_end = self.stops.at_end(token.flatten()).view_as(token)
        by_string = self._at_string(line, token) & ~by_end
        last = self.at + 1 == self.ids.shape[1]
        ended = by_end | by_string | last
        for text, one in enumerate(found):
            mine = ended[text, :beams].nonzero().flatten().tolist()
            one.add([(float(best[text, c]), self._tokens(line[text, c], token[text, c]),
                      self._why(by_end[text, c], by_string[text, c])) for c in mine])  # fmt: skip
        still = best + ended.float() * DEAD
        order = still.topk(beams).indices
        return still.gather(1, order), line.gather(1, order), token.gather(1, order)

    def _at_string(self, line: Tensor, token: Tensor) -> Tensor:
        if not self.stops.strings:
            return torch.zeros_like(token, dtype=torch.bool)
        written = torch.cat([self.ids[line.flatten(), self.start : self.at], token.flatten()[:, None]], dim=1)
        return self.stops.at_string(written).view_as(token)

    def _tokens(self, line: Tensor, token: Tensor) -> list[int]:
        return [*self.ids[line, self.start : self.at].tolist(), int(token)]

    def _why(self, by_end: Tensor, by_string: Tensor) -> Reason:
        return "end" if by_end else "stop" if by_string else self.cut_by


def _finished(prompts: Prompts, found: list[list[Found]], settings: Settings, longest: int) -> Written:
    wanted = settings.num_return_sequences
    best = [line for text in found for line in sorted((x for one in text for x in one.best), key=lambda x: -x[0])[:wanted]]
    several = prompts.repeated(wanted)
    ids = several.room()
    for row, (_, tokens, _) in enumerate(best):
        ids[row, several.ids.shape[1] : several.ids.shape[1] + len(tokens)] = torch.tensor(tokens, device=ids.device)
    return replace(several.finished(ids, [why for _, _, why in best]), scores=[score for score, _, _ in best])
