"""Masked language modelling: some tokens are hidden, the model says which they were (BERT, Devlin et al. 2018, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Needs, Objective, Sample, there
from maskfork.learn.objectives.vocabulary import Vocabulary

Units = Literal["token", "word", "span"]


@dataclass(frozen=True)
class MaskedLM(Objective):
    """`rate` of the tokens is chosen; of these `masked` become the mask token, `random` any other word, the rest stays.

    `units`: single tokens; whole words by the tokenizer's own words (`Batch.words`); or spans of words whose lengths are
    geometric with `span_p`, at most `span_max` (SpanBERT, Joshi et al. 2020, section 3.1), and then all tokens of a span share
    one fate. `static`: every sequence keeps its choice over all epochs (BERT's duplicated data with one copy), drawn from its
    own tokens and this seed; None draws anew each time (RoBERTa's dynamic masking).

    Requirements: an encoder with the head masked_lm; a tokenizer with a mask token.
    Inputs: any batch, padded or packed. At least one token of every sequence that has an ordinary token is chosen.
    Relations: replaced-token detection asks of every token, not only of the chosen ones.

    Example:
        the movie was dark but the ending was bright
        the [MASK] was dark but the ending was [MASK]   ->   movie, bright
    """

    vocabulary: Vocabulary
    rate: float = 0.15
    masked: float = 0.8
    random: float = 0.1
    units: Units = "token"
    span_p: float = 0.2
    span_max: int = 10
    static: int | None = None

    name: ClassVar[str] = "mlm"
    needs: ClassVar[Needs] = "encoder"
    head: ClassVar[str] = "masked_lm"

    def __post_init__(self) -> None:
        self.vocabulary.needed("mask", self.name)
        if self.units not in ("token", "word", "span"):
            raise UsageError(f"what is chosen is a token, a word or a span, not a '{self.units}'")
        if not 0.0 < self.rate < 1.0:
            raise UsageError(f"the masking rate is a share between 0 and 1, not {self.rate}")
        if self.masked < 0 or self.random < 0 or self.masked + self.random > 1.0:
            raise UsageError(f"of the chosen tokens {self.masked:g} are masked and {self.random:g} replaced: together at most 1")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        may = there(batch) & ~self.vocabulary.is_special(batch.tokens)
        if self.static is None:
            chosen, fate, other = self._draw(batch, may, rng)
        else:
            chosen, fate, other = self._draw_static(batch, may)
        mask = self.vocabulary.needed("mask", self.name)
        tokens = torch.where(chosen & (fate < self.masked), torch.full_like(batch.tokens, mask), batch.tokens)
        swapped = chosen & (fate >= self.masked) & (fate < self.masked + self.random)
        tokens = torch.where(swapped, other, tokens)
        targets = batch.tokens.masked_fill(~chosen, IGNORE_INDEX)
        return Sample(replace(batch, tokens=tokens), targets)

    def _draw(self, batch: Batch, may: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """(chosen, the lot that decides its fate in [0, 1), an ordinary token in its stead), each [B, S]."""
        unit, sequence = self._units_of(batch, may, rng)
        count = int(unit.max()) + 1 if unit.numel() else 0
        lots = rng.random(count + 1, dtype=np.float64)
        taken = torch.from_numpy(self._choose(unit.numpy(), sequence.numpy(), lots, may.numpy()))
        # A span shares one fate; the tokens of a word have each their own, as in BERT's whole-word masking.
        fate = torch.from_numpy(rng.random((count + 1,) if self.units == "span" else tuple(unit.shape)))
        fate = fate[unit.clamp_min(0)] if self.units == "span" else fate
        ordinary = self.vocabulary.ordinary
        other = torch.from_numpy(ordinary[rng.integers(0, len(ordinary), size=tuple(unit.shape))])
        return taken, fate, other

    def _draw_static(self, batch: Batch, may: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Drawn sequence by sequence, from its tokens and the seed."""
        taken = torch.zeros(batch.shape, dtype=torch.bool)
        fate = torch.zeros(batch.shape, dtype=torch.float64)
        other = batch.tokens.clone()
        for row, start, n in batch.sequences:
            cut = (slice(row, row + 1), slice(start, start + n))
            words = None if batch.words is None else batch.words[cut]
            own = Batch(batch.tokens[cut], torch.arange(n)[None], words=words)
            seed = [self.static or 0, *np.frombuffer(own.tokens.numpy().astype("<u4").tobytes(), dtype=np.uint32).tolist()]
            taken[cut], fate[cut], other[cut] = self._draw(own, may[cut], np.random.default_rng(seed))
        return taken, fate, other

    def _units_of(self, batch: Batch, may: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """(number of the unit that a token belongs to, -1 where it may not be chosen; number of its sequence), each [B, S]."""
        rows, width = batch.shape
        row = torch.arange(rows)[:, None].expand(rows, width)
        segment = torch.zeros_like(row) if batch.segments is None else batch.segments.clamp_min(0)
        key = row * (int(segment.max()) + 1 if segment.numel() else 1) + segment
        sequence = torch.unique(key, return_inverse=True)[1]
        if self.units == "token":
            unit = torch.arange(rows * width).view(rows, width)
        else:
            if batch.words is None:
                raise UsageError(f"{self.units} masking needs to know the words: encode the texts with words=True")
            begins = torch.ones(rows, width, dtype=torch.bool)
            begins[:, 1:] = (batch.words[:, 1:] != batch.words[:, :-1]) | (sequence[:, 1:] != sequence[:, :-1])
            begins |= ~may
            if self.units == "span":
                begins = torch.from_numpy(self._joined(begins.numpy(), may.numpy(), sequence.numpy(), rng))
            unit = begins.flatten().long().cumsum(0).view(rows, width) - 1
        return unit.masked_fill(~may, -1), sequence

    def _joined(self, begins: np.ndarray, may: np.ndarray, sequence: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Words joined to spans of geometric length (in words), inside one sequence and not across special tokens."""
        flat, free, of = begins.reshape(-1), may.reshape(-1), sequence.reshape(-1)
        starts = np.flatnonzero(flat)
        lengths = np.minimum(rng.geometric(self.span_p, size=len(starts)), self.span_max)
        joined = np.zeros_like(flat)
        left, last = 0, -1
        for number, at in enumerate(starts.tolist()):
            if left == 0 or not free[at] or not free[at - 1] or of[at] != of[last]:
                joined[at] = True
                left = int(lengths[number])
            left, last = left - 1, at
        return joined.reshape(begins.shape)

    def _choose(self, unit: np.ndarray, sequence: np.ndarray, lots: np.ndarray, may: np.ndarray) -> np.ndarray:
        """Units in the order of their lots until `rate` of a sequence's tokens is reached; never none.

        The last unit is taken with the probability that makes the expected share exact.
        """
        flat, free = unit.reshape(-1), may.reshape(-1)
        taken = np.zeros(flat.shape, dtype=bool)
        at = np.flatnonzero(free)
        if at.size == 0:
            return taken.reshape(unit.shape)
        numbers, first, sizes = np.unique(flat[at], return_index=True, return_counts=True)
        of = sequence.reshape(-1)[at[first]]
        budget = np.bincount(of, weights=sizes, minlength=int(of.max()) + 1) * self.rate
        order = np.lexsort((lots[numbers], of))
        before = np.cumsum(sizes[order]) - sizes[order]
        begin = np.r_[True, of[order][1:] != of[order][:-1]]
        before = before - np.repeat(before[begin], np.diff(np.r_[np.flatnonzero(begin), len(order)]))
        share = np.clip((budget[of[order]] - before) / sizes[order], 0.0, 1.0)
        # A unit's own lot, spread anew over [0, 1), decides the one that is only partly inside the budget.
        again = (lots[numbers[order]] * 1e6) % 1.0
        picked = (share > 0) & ((again < share) | begin)
        chosen = np.zeros(int(numbers.max()) + 1, dtype=bool)
        chosen[numbers[order][picked]] = True
        taken[at] = chosen[flat[at]]
        return taken.reshape(unit.shape)
