"""Who watches the loss: a run stops where it is no longer a number, or leaps, and keeps the batch that did it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from maskfork.errors import UsageError
from maskfork.learn.train.plain import plain


@dataclass(frozen=True)
class Watch:
    """Looks at every step before its weights are changed.

    A leap: the loss is more than `leap` standard deviations (of the last `width` losses, and never counted as less than 2 %
    of their mean) above their mean, where `least` losses are known; None looks for numbers only. The batch goes into `folder`.
    """

    learning_rate: float
    leap: float | None = None
    folder: Path | None = None
    width: int = 100
    least: int = 20

    def check(self, value: float, norm: float, step: int, losses: Sequence[float], batches: Sequence[Any]) -> None:
        """Raises UsageError, after the batches were saved."""
        if not math.isfinite(value):
            raise UsageError(
                f"the loss is {value} at step {step}: lower the learning rate (now {self.learning_rate:g}) "
                f"or use precision fp32{self._keep(step, value, batches)}"
            )
        if not math.isfinite(norm):
            raise UsageError(
                f"the gradient is {norm} at step {step}: lower the learning rate (now {self.learning_rate:g}) "
                f"or use precision fp32{self._keep(step, value, batches)}"
            )
        if self.leap is None or len(losses) < self.least:
            return
        known = losses[-self.width :]
        mean = sum(known) / len(known)
        spread = max(math.sqrt(sum((x - mean) ** 2 for x in known) / len(known)), 0.02 * abs(mean))
        if value > mean + self.leap * spread:
            raise UsageError(
                f"the loss leapt to {value:.3f} at step {step} from {mean:.3f} before: look at the batch, lower the learning "
                f"rate (now {self.learning_rate:g}), or resume with a higher spike limit (now {self.leap:g}; 0 is none)"
                f"{self._keep(step, value, batches)}"
            )

    def _keep(self, step: int, value: float, batches: Sequence[Any]) -> str:
        """Save the batches; the end of the sentence."""
        if self.folder is None:
            return ""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"lost-at-{step}.pt"
        torch.save({"step": step, "loss": value, "batches": plain(list(batches))}, file)
        return f"; the batch is in {file}"
