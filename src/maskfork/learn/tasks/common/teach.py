"""Learning from a teacher's answers beside the truth (Hinton et al. 2015, section 2.1).

loss = (1 - soft) truth + soft T^2 KL(teacher / T, student / T)
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models.hub import load
from maskfork.models.model import Model


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


def mixed(own: Tensor, taught: Tensor, settings: TaughtSettings) -> Tensor:
    """The loss of the rows and that of the teacher, by its share."""
    return (1.0 - settings.soft) * own + settings.soft * taught


def next_words(logits_MV: Tensor, wisdom_MV: Tensor, said_M: Tensor, settings: TaughtSettings) -> Tensor:
    """The loss of M tokens that follow, by what followed and by what the teacher says of it."""
    own = cross_entropy(logits_MV.float(), said_M, label_smoothing=settings.label_smoothing)
    return mixed(own, soft_loss(logits_MV, wisdom_MV, settings.soften), settings)


def writing_teacher(folder: str, student: Model) -> Model:
    """A model that writes the same tokens as the student, frozen. Raises UsageError for one of another kind or vocabulary."""
    teacher = load(Path(folder)).to(student.device).eval().requires_grad_(False)
    if teacher.spec.fork != student.spec.fork:
        raise UsageError(
            f"the teacher {folder} is a {teacher.spec.fork} and the student a {student.spec.fork}: take one of its kind"
        )
    if teacher.tokenizer.inner.to_str() != student.tokenizer.inner.to_str():
        raise UsageError(f"the teacher {folder} writes other tokens than the student: take one with the same tokenizer")
    return teacher
