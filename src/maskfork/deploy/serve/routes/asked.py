"""What the bodies of several routes have in common, and how they become rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from maskfork.deploy.serve.refused import Refused

#: which end of a text that is too long is cut
Direction = Literal["right", "left", "Right", "Left"]

Inputs = str | list[str | int | list[int]]
"""A text, the token ids of one, or several of both."""


def rows_of(inputs: Inputs) -> list[dict[str, Any]]:
    """A row for each text {"text"} or token ids {"ids"}. Raises Refused (422)."""
    if isinstance(inputs, str):
        return [{"text": inputs}]
    numbers = [one for one in inputs if isinstance(one, int)]
    if numbers and len(numbers) < len(inputs):
        raise Refused(422, "inputs mixes numbers with texts or lists: give the token ids of one text, or a list for each")
    if numbers:
        return [{"ids": numbers}]
    return [{"text": one} if isinstance(one, str) else {"ids": one} for one in inputs]


def last(direction: Direction) -> bool:
    """Whether the last tokens of a long text are read."""
    return direction.lower() == "left"


def refuse_cut(lost: Sequence[int]) -> None:
    """Raises Refused (413): what a model says that it did not read is known only after it has read."""
    if any(lost):
        raise Refused(
            413,
            f"{sum(1 for n in lost if n)} of {len(lost)} texts are longer than this model reads ({sum(lost)} tokens too many): "
            "shorten them, or leave truncate=false out",
        )
