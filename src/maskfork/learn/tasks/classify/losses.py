"""What is minimised: cross-entropy, a sigmoid a label, or the squared error; with weights, smoothing and focus."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from maskfork.errors import UsageError
from maskfork.learn.tasks.classify.examples import Problem
from maskfork.learn.train.settings import FineTuneSettings

Loss = Callable[[Tensor, Tensor], Tensor]
"""Logits [n, C] and targets ([n], [n, C] or [n]) to their mean loss."""

#: the most that a rare label's rows may count for; beyond it training is the noise of a few rows
MOST_WEIGHT = 50.0


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """Each class in inverse proportion to its rows, one on average (a class without rows gets one)."""
    counts = np.bincount(labels, minlength=classes)
    return torch.tensor(
        np.where(counts > 0, len(labels) / np.maximum(counts, 1) / max(1, (counts > 0).sum()), 1.0), dtype=torch.float32
    )


def loss_of(problem: Problem, targets: np.ndarray, classes: int, settings: FineTuneSettings, focal: float = 0.0) -> Loss:
    """The loss for these training targets, which the weights are counted in. Raises UsageError for what does not fit."""
    balanced, smooth = settings.class_weight == "balanced", settings.label_smoothing
    if problem == "regression":
        if balanced or smooth or focal:
            raise UsageError("class weights, label smoothing and focal loss are for labels, and this is a regression")
        return lambda logits, truth: mse_loss(logits[:, 0], truth)
    if problem == "multi":
        return _several(_positive_weights(targets) if balanced else None, smooth, focal)
    weights = class_weights(targets, classes) if balanced else None

    def one(logits: Tensor, truth: Tensor) -> Tensor:
        own = None if weights is None else weights.to(logits.device)
        if not focal:
            return cross_entropy(logits, truth, weight=own, label_smoothing=smooth)
        each = cross_entropy(logits, truth, label_smoothing=smooth, reduction="none")
        sure = logits.softmax(-1).gather(1, truth[:, None])[:, 0]
        scale = (1.0 - sure) ** focal if own is None else own[truth] * (1.0 - sure) ** focal
        return (scale * each).sum() / (len(truth) if own is None else own[truth].sum())

    return one


def _several(weights: Tensor | None, smooth: float, focal: float) -> Loss:
    def loss(logits: Tensor, truth: Tensor) -> Tensor:
        aims = truth.float() * (1.0 - smooth) + smooth / 2.0
        own = None if weights is None else weights.to(logits.device)
        each = binary_cross_entropy_with_logits(logits, aims, pos_weight=own, reduction="none")
        if focal:
            p = logits.sigmoid()
            each = each * torch.where(truth.bool(), 1.0 - p, p) ** focal
        return each.mean()

    return loss


def _positive_weights(targets: np.ndarray) -> Tensor:
    """How much more a label's rows count than the rows without it, [C]."""
    held = targets.sum(0)
    return torch.tensor(np.minimum((len(targets) - held) / np.maximum(held, 1), MOST_WEIGHT), dtype=torch.float32)
