"""Causal language modelling: every token predicts the next one (GPT, Radford et al. 2018, section 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.learn.objectives.contract import IGNORE_INDEX, Needs, Objective, Sample


@dataclass(frozen=True)
class CausalLM(Objective):
    """The next token of the same text; nothing is drawn.

    Requirements: a decoder with the head causal_lm.
    Inputs: any batch, padded or packed. A text's last token has no target, and no text's first token is one.
    Relations: prefix LM frees a prefix from the loss and lets it see itself in full.

    Example:
        the cat sat   ->   cat sat .
    """

    name: ClassVar[str] = "clm"
    needs: ClassVar[Needs] = "decoder"
    head: ClassVar[str] = "causal_lm"

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Sample:
        return Sample(batch, clm(batch))


def clm(batch: Batch) -> Tensor:
    """Targets [B, S] of a batch: the next token of the same sequence, IGNORE_INDEX at its end and in padding."""
    targets = torch.full_like(batch.tokens, IGNORE_INDEX)
    targets[:, :-1] = batch.tokens[:, 1:]
    if batch.segments is not None:
        ends = (batch.segments[:, 1:] != batch.segments[:, :-1]) | (batch.segments[:, 1:] < 0)
        targets[:, :-1] = targets[:, :-1].masked_fill(ends, IGNORE_INDEX)
    if batch.keep is not None:
        following = torch.zeros_like(batch.keep)
        following[:, :-1] = batch.keep[:, 1:] & batch.keep[:, :-1]
        targets = targets.masked_fill(~following, IGNORE_INDEX)
    return targets


def clm_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean cross-entropy of the targets; the head computes only the places that have one."""
    loss: Tensor = model(batch, targets=clm(batch)).loss
    return loss
