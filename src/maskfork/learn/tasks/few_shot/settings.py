"""Settings of the few-shot task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.settings import TaskSettings

Way = Literal["contrastive", "probe"]


@dataclass(frozen=True)
class FewShotSettings(TaskSettings):
    """way: contrastive (SetFit's) or probe, which leaves the encoder as it is; steps of `batch_size` texts each are taken.

    loss and scale are those of `maskfork train embed` on labelled rows: with two labels and few rows the supervised one can
    make all vectors alike, which all-pairs cannot gain by. No rows are kept back to choose an epoch by: there are too few.
    """

    learning_rate: float | None = 2e-5
    head_rate: float = 1.0
    batch_size: int | None = 32
    steps_wanted: int = 100
    way: Way = "contrastive"
    loss: Literal["all-pairs", "supervised", "batch-triplet"] = "all-pairs"
    scale: float = 20.0

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight", "label_smoothing", "teacher")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.way == "probe" and self.adapter is not None:
            raise UsageError(
                "the probe leaves the encoder as it is, so it trains no adapter: take way=contrastive, or no adapter"
            )
        if self.steps_wanted < 1 or self.scale <= 0:
            raise UsageError("steps_wanted is 1 or more and scale above 0")
