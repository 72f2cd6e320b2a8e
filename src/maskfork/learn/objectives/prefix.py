"""Prefix language modelling: the beginning is read from both sides, the rest is said (T5, Raffel et al. 2020, section 3.2.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.core.mask import PrefixIn
from maskfork.errors import UsageError
from maskfork.learn.objectives.clm import clm
from maskfork.learn.objectives.contract import IGNORE_INDEX, Needs, Objective, Sample, there


@dataclass(frozen=True)
class PrefixLM(Objective):
    """Each text is split at a random place: its prefix sees itself in full and is not asked for, the rest is said as by a GPT.

    The prefix has between 1 and n - 1 tokens, each number equally likely; `share` fixes it to that part of the text instead.

    Requirements: a decoder with the head causal_lm.
    Inputs: any batch, padded, or packed into one row. A text of a single token has no target.
    Relations: with a prefix of nothing it is causal language modelling; UL2's S-denoiser splits a text the same way for an
    encoder-decoder (`SpanCorruption(prefix=True)`).

    Example:
        the cat sat | on the mat   ->   . . on the mat .
    """

    share: float | None = None

    name: ClassVar[str] = "prefix-lm"
    needs: ClassVar[Needs] = "decoder"
    head: ClassVar[str] = "causal_lm"

    def __post_init__(self) -> None:
        if self.share is not None and not 0.0 <= self.share < 1.0:
            raise UsageError(f"the prefix is a share of the text from 0 to below 1, not {self.share:g}")

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        if batch.is_packed and batch.shape[0] > 1:
            raise UsageError("prefix-lm gives each text a rule of its own: pack texts into one row, or pad them")
        sequences = np.asarray(batch.sequences, dtype=np.int64).reshape(-1, 3)
        lengths = sequences[:, 2]
        if self.share is None:
            prefix = 1 + (rng.random(len(lengths)) * np.maximum(lengths - 1, 1)).astype(np.int64)
        else:
            prefix = np.floor(self.share * lengths).astype(np.int64)
        # The rule counts sequences by row, or by segment: the order of storage in both, but rows of padding alone have none.
        owners = sequences[:, 0] if not batch.is_packed else batch.segments[0, sequences[:, 1]].numpy()  # type: ignore[index]
        count = batch.shape[0] if not batch.is_packed else int(owners.max(initial=-1)) + 1
        each = torch.zeros(max(count, 1), dtype=torch.long)
        each[torch.from_numpy(owners)] = torch.from_numpy(prefix)
        number = batch.segments.clamp_min(0) if batch.segments is not None else torch.arange(batch.shape[0])[:, None]
        asked = (batch.positions + 1 >= each[number]) & there(batch)
        return Sample(batch, clm(batch).masked_fill(~asked, IGNORE_INDEX), PrefixIn(each.to(batch.tokens.device)))
