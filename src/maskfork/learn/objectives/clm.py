"""Causal language modelling: every token predicts the next one (GPT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.models.heads.cross_entropy import IGNORE_INDEX


def clm(batch: Batch) -> Tensor:
    """Targets [B, S] of a batch: the next token of the same sequence, IGNORE_INDEX at its end and in padding.

    Requirements: a decoder. Inputs: any batch, padded or packed. Relations: prefix LM frees the prefix from the loss.

    Example:
        the cat sat   ->   cat sat IGNORE
    """
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
