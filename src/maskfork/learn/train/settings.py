"""How a model is trained: the field's defaults, all of them to be changed."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from maskfork.errors import UsageError

USUAL, WIDE = 5e-5, 768  # the learning rate of BERT's base, and how wide that is
QUICKEST = 1e-3  # of a head that is quicker than its body


@dataclass(frozen=True)
class FineTuneSettings:
    """Defaults after Devlin et al. 2018 (appendix A.3) and Mosbach et al. 2021 for few rows: more steps, warm-up, AdamW.

    `learning_rate`, where none is set, is 5e-5, the field's for models 768 wide, and more for narrower ones (`rate`); the head,
    which is new while the body has learnt before, takes `head_rate` times that, up to 1e-3 (`rate_of_head`; an adapter's head
    takes the adapter's rate).
    `min_steps` lengthens the training of small sets; `validation_share` of the rows picks the best epoch and the
    temperature, where at least `validation_min` rows are left for it; where there are fewer, `calibrate` takes the temperature of
    labels from two trainings more, on half of the rows each. `precision` auto takes bf16 where the processor has it and the loss
    agrees with float32's.
    """

    epochs: float = 3.0
    learning_rate: float | None = None
    head_rate: float = 10.0
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
    calibrate: bool = True
    precision: Literal["auto", "fp32", "bf16"] = "auto"

    def __post_init__(self) -> None:
        rates = (self.head_rate, 1.0 if self.learning_rate is None else self.learning_rate)
        if self.epochs <= 0 or min(rates) <= 0 or (self.batch_size is not None and self.batch_size < 1):
            raise UsageError("epochs, learning rates and batch size must be above zero")
        for name in ("warmup", "validation_share", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise UsageError(f"{name.replace('_', ' ')} is a share from 0 to below 1, not {getattr(self, name)}")
        if self.precision not in ("auto", "fp32", "bf16"):
            raise UsageError(f"precision is auto, fp32 or bf16, not {self.precision!r}")

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for content keys and cards."""
        return asdict(self)

    def rate(self, width: int) -> float:
        """The learning rate of all weights of a model that is `width` wide.

        A matrix half as wide bears steps twice as large (Yang et al. 2022, table 3): at 5e-5 MiniLM, 384 wide, has not learnt
        what it can when few epochs are over (docs/log.md).
        """
        return self.learning_rate if self.learning_rate is not None else USUAL * max(1.0, WIDE / width)

    def rate_of_head(self, rate: float) -> float:
        """The head's learning rate beside the body's."""
        return max(rate, min(self.head_rate * rate, QUICKEST))

    def kept_back(self, rows: int) -> int:
        """How many of so many rows are kept back for validation: none where they would be too few."""
        wanted = min(round(rows * self.validation_share), self.validation_max)
        return 0 if wanted < self.validation_min else wanted

    def rows_a_step(self, rows: int) -> int:
        """Batch size for so many training rows."""
        return self.batch_size or (16 if rows < 1000 else 32)

    def in_steps(self, steps: int) -> Self:
        """The same settings for so many steps, however many epochs these are."""
        return replace(self, epochs=1e-6, min_steps=steps, max_epochs=1e6)

    def steps(self, rows: int) -> tuple[int, int]:
        """(steps in all, steps an epoch) for so many training rows."""
        per_epoch = max(1, -(-rows // self.rows_a_step(rows)))
        wanted = max(round(self.epochs * per_epoch), self.min_steps)
        return max(1, min(wanted, round(max(self.max_epochs, self.epochs) * per_epoch))), per_epoch
