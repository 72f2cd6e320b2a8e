"""Outcomes of some of the texts become one of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from maskfork.prompt.teachers.outcome import Outcome

F = TypeVar("F", bound=Outcome)


def joined(parts: Sequence[F]) -> F:
    """Parts that were asked one after the other, as one: their rows, and what all of them took and said."""
    first = parts[0]
    usage = first.usage
    for part in parts[1:]:
        usage = usage if part.usage is None else part.usage if usage is None else usage + part.usage
    spent = [part.spent for part in parts if part.spent is not None]
    return replace(
        first,
        usage=usage,
        spent=sum(spent) if spent else None,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        stopped=next((part.stopped for part in parts if part.stopped), None),
        **{name: _end_to_end([getattr(part, name) for part in parts]) for name in first.by_row},
    )


def among(found: F, where: npt.NDArray[np.int64], count: int, why: str) -> F:
    """The same at their places [N] among `count` texts; `why` the others were not asked."""
    held = {**found.by_row, "errors": why}
    return replace(found, **{name: _placed(getattr(found, name), where, count, others) for name, others in held.items()})


def _end_to_end(values: Sequence[Any]) -> Any:
    if any(value is None for value in values):
        return None
    return tuple(chain(*values)) if isinstance(values[0], tuple) else np.concatenate(values)


def _placed(values: Any, where: npt.NDArray[np.int64], count: int, others: Any) -> Any:
    """A field [N] at its places among `count`; what `others` hold."""
    if values is None:
        return None
    if isinstance(values, tuple):
        known = dict(zip(where.tolist(), values, strict=True))
        return tuple(known.get(i, others) for i in range(count))
    all_of = np.full((count, *values.shape[1:]), others, dtype=values.dtype)
    all_of[where] = values
    return all_of
