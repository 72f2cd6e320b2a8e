"""Settings of the rerank task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings


@dataclass(frozen=True)
class RerankSettings(TaughtSettings):
    """batch_size: queries of a step, each with up to `documents` of its documents, relevant ones first, others drawn anew each
    epoch; negatives: how many documents of other queries a query gets that has relevant ones alone.
    """

    epochs: float = 2.0
    batch_size: int | None = 4
    loss: Literal["listwise", "pairwise", "margin", "lambda", "pointwise"] = "listwise"
    margin: float = 1.0
    documents: int = 8
    negatives: int = 7

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight", "label_smoothing")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.documents < 2 or self.negatives < 1 or self.margin <= 0:
            raise UsageError("documents is 2 or more, negatives 1 or more and margin above 0")
