"""Which layers of a teacher a student should start from: those without which it goes on answering as it did."""

from __future__ import annotations

from collections.abc import Callable

from maskfork.learn.objectives.start import every_other, start_from
from maskfork.models.model import Model


def best_layers(teacher: Model, wanted: int, worth: Callable[[Model], float]) -> list[int]:
    """`wanted` of the teacher's layers, counted from 0: one after the other leaves, always the one that costs least.

    `worth(model)` says how good a model with some of the layers is, higher is better, before any training (Sajjad et al. 2023,
    "On the effect of dropping layers", compare fixed ways). It is held against every other layer, which wins a tie. Raises
    ModelError where layers cannot be taken one by one.
    """
    kept = list(range(teacher.spec.main.depth))
    value = float("-inf")
    while len(kept) > wanted:
        tries = [[n for n in kept if n != gone] for gone in kept]
        worths = [worth(start_from(teacher, layers).eval()) for layers in tries]
        value = max(worths)
        kept = tries[worths.index(value)]
    usual = every_other(teacher.spec.main.depth)
    if len(usual) == wanted and kept != usual and worth(start_from(teacher, usual).eval()) >= value:
        return usual
    return kept
