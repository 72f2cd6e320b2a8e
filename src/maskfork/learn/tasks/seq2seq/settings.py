"""How a writer is trained, and how it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings


@dataclass(frozen=True)
class Seq2SeqSettings(TaughtSettings):
    """`prefix` stands before every source; `max_target` tokens of a target are learnt and written (the longest seen, where left
    out); `beams` and `length_penalty` are how it writes; `metric` is what decides.
    """

    learning_rate: float | None = 3e-4
    head_rate: float = 1.0
    prefix: str = ""
    max_target: int | None = None
    beams: int = 4
    length_penalty: float = 1.0
    metric: Literal["bleu", "chrf", "rouge1", "rouge2", "rougeL", "exact"] = "bleu"

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_long not in ("error", "truncate"):
            raise UsageError(f"a source that is rewritten is read in one piece: on_long is error or truncate, not {self.on_long}")
        if self.beams < 1 or (self.max_target is not None and self.max_target < 2):
            raise UsageError("beams must be 1 or more and max_target 2 or more")
