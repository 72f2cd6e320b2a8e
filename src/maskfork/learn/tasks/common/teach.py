"""Learning from a teacher's answers beside the truth (Hinton et al. 2015, section 2.1).

loss = (1 - soft) truth + soft T^2 KL(teacher / T, student / T)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import kl_div

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.settings import TaskSettings


@dataclass(frozen=True)
class TaughtSettings(TaskSettings):
    """With `teacher`: `soft` is its share in the loss and `soften` its temperature."""

    soft: float = 0.5
    soften: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.soft <= 1.0 or self.soften <= 0.0:
            raise UsageError("soft is a share from 0 to 1 and soften is above 0")


def soft_loss(logits: Tensor, wisdom: Tensor, soften: float) -> Tensor:
    """How far logits [n, C] are from the teacher's [n, C]: the mean of the rows' divergences, at temperature `soften`."""
    said, meant = (x.float().div(soften).log_softmax(-1) for x in (logits, wisdom))
    return kl_div(said, meant, reduction="batchmean", log_target=True) * soften**2
