"""A teacher's tags: what a trained tagger says of each word, whatever tokens it reads it in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor
from torch.nn.functional import cross_entropy

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.teach import mixed, soft_loss
from maskfork.learn.tasks.tag.examples import Kind
from maskfork.learn.tasks.tag.prepare import Prepared
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.learn.tasks.tag.trained import Tagger

FloatArray = npt.NDArray[np.float64]


def check_teacher(teacher: Tagger, names: Sequence[str], kind: Kind, folder: str) -> None:
    """Raises UsageError where the teacher says other things of a word than these."""
    if teacher.kind != kind or set(teacher.names) != set(names):
        raise UsageError(
            f"the teacher {folder} knows the tags {', '.join(teacher.names[:5])} ..., and the rows have others "
            f"({', '.join(names[:5])} ...): take a teacher that was trained on the same labels"
        )


def wisdom_of(
    teacher: Tagger, theirs: Prepared, names: Sequence[str], ready: Prepared, read: Sequence[npt.NDArray[np.float32]]
) -> list[FloatArray]:
    """The teacher's logits [U, C] for the units of `ready` in each text, in the order of `names`; NaN where it says nothing.

    `theirs` are the texts as the teacher reads them and `read` its windows' logits. Words are what the two have in common: a
    unit's logits are those of the teacher's unit that holds the unit's first word.
    """
    order = [teacher.names.index(name) for name in names]
    found = []
    for logits, own, other in zip(teacher.logits(theirs, read), ready.units, theirs.units, strict=True):
        values = np.full((len(own), len(order)), np.nan)
        for word in reversed(range(len(own.word))):  # the first word of a unit is written last
            if own.word[word] >= 0 and other.word[word] >= 0:
                values[own.word[word]] = logits[other.word[word]][order]
        found.append(values)
    return found


def token_loss(
    logits_MC: Tensor, classes_M: Tensor, wisdom_MC: Tensor | None, weights: Tensor | None, settings: TagSettings
) -> Tensor:
    """Cross-entropy, the mean over tokens that have a class; with a teacher its share of that."""
    own = cross_entropy(logits_MC.float(), classes_M, weight=weights, label_smoothing=settings.label_smoothing)
    if wisdom_MC is None:
        return own
    known = ~wisdom_MC.isnan().any(-1)
    if not bool(known.any()):
        return own
    return mixed(own, soft_loss(logits_MC[known], wisdom_MC[known], settings.soften), settings)
