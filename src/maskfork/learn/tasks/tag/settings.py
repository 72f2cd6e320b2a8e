"""How a tagger is trained and how it reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import TaughtSettings
from maskfork.models.encode import OnLong

LabelOn = Literal["first", "all"]


@dataclass(frozen=True)
class TagSettings(TaughtSettings):
    """`label_on`: a word is judged by its first token, or by all of its tokens; `stride`: tokens that two windows of a long text
    share; `tag_names`: what tags that are numbers mean, in their order.
    """

    on_long: OnLong = "chunk"
    label_on: LabelOn = "first"
    stride: int = 64
    tag_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stride < 0:
            raise UsageError(f"stride is a number of tokens from 0 on, not {self.stride}")
