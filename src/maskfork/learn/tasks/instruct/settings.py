"""How a decoder is taught to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings


@dataclass(frozen=True)
class InstructSettings(TaughtSettings):
    """`learn`: answers alone, or the whole text; `prompts`: the weight of what is asked beside the answers, each a mean over its
    own tokens (Huerta-Enochian & Ko 2024: a little helps where answers are short); `answers`: how many held-out rows are
    answered to be compared with theirs; `max_new_tokens`: of one answer.
    """

    learning_rate: float = 2e-5
    learn: Literal["answers", "all"] = "answers"
    prompts: float = 0.0
    answers: int = 100
    max_new_tokens: int = 256

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_long not in ("error", "truncate"):
            raise UsageError(f"a talk is learnt in one piece: on_long is error or truncate, not {self.on_long}")
        if self.answers < 0 or self.max_new_tokens < 1:
            raise UsageError("answers must be 0 or more and max_new_tokens 1 or more")
        if self.prompts < 0 or (self.prompts and (self.learn == "all" or self.teacher is not None)):
            raise UsageError("prompts is a weight of 0 or more, beside answers alone (learn=answers) and without a teacher")
