"""The loss on text that was held out, always the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.learn.objectives.contract import IGNORE_INDEX, Objective, Sample, Targets


def answers(sample: Sample) -> float:
    """How many places have a target; where only whole texts are asked, how many of them."""
    targets = sample.targets.tokens if isinstance(sample.targets, Targets) else sample.targets
    places = float((targets != IGNORE_INDEX).sum())
    return float(len(sample.targets.pairs)) if not places and isinstance(sample.targets, Targets) else places


def moved(sample: Sample, device: torch.device) -> Sample:
    """The sample on another device."""
    return sample if device.type == "cpu" else Sample(*(_on(part, device) for part in sample))


def _on(value: Any, device: torch.device) -> Any:
    """Tensors, batches, and whatever is made of them."""
    if isinstance(value, (Tensor, Batch)):
        return value.to(device)
    if isinstance(value, Sample):
        return Sample(*(_on(part, device) for part in value))
    if isinstance(value, tuple):
        return tuple(_on(part, device) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{field.name: _on(getattr(value, field.name), device) for field in fields(value)})
    return value


@torch.no_grad()
def held_loss(model: nn.Module, objective: Objective, batches: Sequence[Batch]) -> float:
    """The mean loss over all answers of the batches; the model is in evaluation mode meanwhile."""
    asked: Any = model  # a model, or what an objective trains together with it
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    total = count = 0.0
    for number, batch in enumerate(batches):
        sample = objective(batch, np.random.default_rng([number, 20]))
        weight = answers(sample)
        total += weight * float(objective.loss(asked, moved(sample, device)).total)
        count += weight
    model.train(was_training)
    return total / max(count, 1.0)
