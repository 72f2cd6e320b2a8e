"""What there is to choose in classifying."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings
from maskfork.measure.conformal import Way

Aggregate = Literal["max", "mean", "attention", "first"]

#: out_of_scope where no row shows what is out of scope
UNKNOWN = "unknown"


@dataclass(frozen=True)
class ClassifySettings(TaughtSettings):
    """`problem`: one label, several, or a number; seen in the labels where it is auto.
    `focal`: the power that makes easy rows count less (Lin et al. 2017); 0 is off, 2 is usual.
    `aggregate`, `overlap`: how the windows of a long text become one answer, and how many tokens two of them share.
    `out_of_scope`: the label of rows that fit no other, which are answered so; `unknown` where no row shows them.
    `drop_rare`: leave out labels that have one row, which can be neither learnt nor tested.
    `coverage`: the share of rows whose set of labels is to hold the truth; `sets`: lac or aps.
    `max_error`: the share of errors among what is answered; the model abstains from the rest.
    `calibration_share`, `calibration_max`: rows that neither training nor any choice sees, for `coverage`.
    With `teacher`, beside `soft` and `soften`: `hidden` is the weight of its states;
    `student` layers starts from every other layer of it instead of the base; `stages` 2 learns its states and attention
    first and its answers after that (TinyBERT).
    """

    problem: Literal["auto", "single", "multi", "regression"] = "auto"
    focal: float = 0.0
    aggregate: Aggregate = "mean"
    overlap: int | None = None
    out_of_scope: str | None = None
    drop_rare: bool = False
    coverage: float | None = None
    sets: Way = "lac"
    max_error: float | None = None
    calibration_share: float = 0.1
    calibration_max: int = 2000
    hidden: float = 0.0
    student: Literal["base", "layers"] = "base"
    stages: Literal["1", "2"] = "1"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("coverage", "max_error"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < 1.0:
                raise UsageError(f"{name.replace('_', ' ')} is a share between 0 and 1, such as 0.95, not {value}")
        if self.hidden < 0.0 or self.focal < 0.0:
            raise UsageError("hidden and focal are 0 or more")
        if self.teacher is None and (self.student, self.stages, self.hidden) != ("base", "1", 0.0):
            raise UsageError("student, stages and hidden speak of a teacher: name its folder with --teacher")

    @property
    def scope_name(self) -> str | None:
        """The label of rows that are out of scope, None where no row shows them."""
        return None if self.out_of_scope == UNKNOWN else self.out_of_scope
