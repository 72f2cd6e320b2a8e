"""How a model is trained: the field's defaults, all of them to be changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from maskfork.errors import UsageError


@dataclass(frozen=True)
class FineTuneSettings:
    """Defaults after Devlin et al. 2018 (appendix A.3) and Mosbach et al. 2021 for few rows: more steps, warm-up, AdamW.

    `min_steps` lengthens the training of small sets; `validation_share` of the rows picks the best epoch and the
    temperature, where at least `validation_min` rows are left for it; `precision` auto takes bf16 where the processor has
    it and the loss agrees with float32's.
    """

    epochs: float = 3.0
    learning_rate: float = 5e-5
    batch_size: int | None = None  # 16 rows, 32 from a thousand rows on
    warmup: float = 0.1
    weight_decay: float = 0.01
    clip: float = 1.0
    min_steps: int = 150
    max_epochs: float = 40.0
    max_length: int | None = None
    class_weight: Literal["balanced"] | None = None
    label_smoothing: float = 0.0
    validation_share: float = 0.1
    validation_min: int = 40
    validation_max: int = 1000
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        if self.epochs <= 0 or self.learning_rate <= 0 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError("epochs, learning rate and batch size must be above zero")
        for name in ("warmup", "validation_share", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(f"{name.replace('_', ' ')} is a share from 0 to below 1, not {getattr(self, name)}")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise UsageError(f"precision is auto, fp32 or bf16, not {self.precision!r}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for content keys and cards."""
        return asdict(self)

    def rows_a_step(self, rows: int) -> int:
        """Batch size for so many training rows."""
        return self.batch_size or (16 if rows < 1000 else 32)

    def steps(self, rows: int) -> tuple[int, int]:
        """(steps in all, steps an epoch) for so many training rows."""
        per_epoch = max(1, -(-rows // self.rows_a_step(rows)))
        wanted = max(round(self.epochs * per_epoch), self.min_steps)
        return max(1, min(wanted, round(max(self.max_epochs, self.epochs) * per_epoch))), per_epoch
