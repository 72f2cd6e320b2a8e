"""The quick checks before a training, on the rows of any task."""

from __future__ import annotations

from typing import Any

import numpy as np

from maskfork.learn.data.audit.material import Material
from maskfork.learn.data.audit.run import sentences
from maskfork.learn.data.rows import Rows

_TEXTS = (("texts", "pairs"), ("questions", "contexts"), ("sources", "targets"), ("queries", ""))
"""What the tasks call the texts of their rows, and the second ones."""
OUTSIDE = "(fits no label)"


def brief(train: Any, test: Any = None, *, copies: bool = True) -> list[str]:
    """A sentence for each thing that is wrong with rows that are about to be trained on; none for rows without texts.

    The checks that train nothing: empty and broken texts, copies, leaks, contradictions, labels. What a limit cuts the training
    itself counts. Without `copies` nobody looks for copies, leaks and contradictions, because the reading has.
    """
    sides = [side for side in (train, test) if side is not None and len(side)]
    named = next((names for names in _TEXTS if sides and _strings(sides[0], names[0]) is not None), None)
    if named is None:
        return []
    texts = [_strings(side, named[0]) or () for side in sides]
    seconds = [_strings(side, named[1]) for side in sides]
    labels = [_labels(side) for side in sides]
    classes = all(side is not None for side in labels)
    return sentences(
        Material(
            tuple(text for side in texts for text in side),
            None if any(side is None for side in seconds) else tuple(text for side in seconds for text in side or ()),
            tuple(name for side in labels for name in side or ()) if classes else None,
            np.repeat(np.arange(len(sides)) == 1, [len(side) for side in sides]),
            tuple((name, i + 1) for side, name in zip(sides, ("train", "test"), strict=False) for i in range(len(side))),
            (named[0], named[1], None),
            classes=classes,
        ),
        copies=copies,
    )


def _strings(side: Any, name: str) -> tuple[str, ...] | None:
    found = getattr(side, name, None) if name else None
    whole = isinstance(found, tuple) and len(found) == len(side) and all(isinstance(text, str) for text in found)
    return found if whole else None


def _labels(side: Any) -> list[str] | None:
    """The label of each row, where it has one class."""
    numbers = side.labels if isinstance(side, Rows) else getattr(side, "targets", None)
    if not isinstance(numbers, np.ndarray) or numbers.shape != (len(side),) or numbers.dtype.kind != "i":
        return None
    return [side.label_names[n] if n >= 0 else OUTSIDE for n in numbers.tolist()]
