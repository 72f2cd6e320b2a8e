"""How a model that answers is trained and how it reads."""

from __future__ import annotations

from dataclasses import dataclass

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models.encode import OnLong


@dataclass(frozen=True)
class AnswerSettings(TaskSettings):
    """`max_length` and `stride` (tokens that two windows share) as in Devlin et al. 2018; `max_answer`: tokens of an answer;
    `n_best`: how many answers are given for a question.
    """

    on_long: OnLong = "chunk"
    max_length: int | None = 384
    stride: int = 128
    max_answer: int = 30
    n_best: int = 5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher is not None or self.class_weight is not None:
            raise UsageError("answers are not learnt from a teacher, and have no classes to weigh: leave these settings out")
        if self.stride < 0 or self.max_answer < 1 or self.n_best < 1:
            raise UsageError("stride is 0 or more, max_answer and n_best are 1 or more")
