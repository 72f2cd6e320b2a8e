"""A temperature in the output layer: the saved folder then gives calibrated probabilities anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from maskfork.measure.calibration import fit_temperature
from maskfork.models.model import Model


def fold_temperature(model: Model, logits: np.ndarray, labels: np.ndarray) -> float:
    """Divide the output layer by the temperature that fits these rows [N, C] and [N], and say which it is."""
    temperature = float(fit_temperature(logits, labels))
    cool(model, temperature)
    return temperature


def cool(model: Model, temperature: float) -> None:
    """Divide the output layer by a temperature."""
    head: Any = model.head
    with torch.no_grad():
        for parameter in head.out.parameters():
            parameter.div_(temperature)
