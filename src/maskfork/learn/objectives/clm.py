"""Causal language modelling: every token predicts the next one (GPT)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch

#: a target that carries no loss
IGNORE_INDEX = -100


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
    targets = clm(batch).flatten()
    places = (targets != IGNORE_INDEX).nonzero().squeeze(-1)
    logits: Tensor = model(batch, logits_at=places).logits
    return cross_entropy(logits.float(), targets[places])
