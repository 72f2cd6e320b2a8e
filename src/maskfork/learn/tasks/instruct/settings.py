"""How a decoder is taught to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings


@dataclass(frozen=True)
class InstructSettings(TaughtSettings):
    """`learn`: answers alone, or the whole text; `answers`: how many held-out rows are answered to be compared with theirs;
    `max_new_tokens`: of one answer.
    """

    learning_rate: float | None = 2e-5
    head_rate: float = 1.0
    learn: Literal["answers", "all"] = "answers"
    answers: int = 100
    max_new_tokens: int = 256

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_long not in ("error", "truncate"):
            raise UsageError(f"a talk is learnt in one piece: on_long is error or truncate, not {self.on_long}")
        if self.answers < 0 or self.max_new_tokens < 1:
            raise UsageError("answers must be 0 or more and max_new_tokens 1 or more")
