"""Objectives by name."""

from __future__ import annotations

from collections.abc import Callable

from maskfork.errors import UsageError
from maskfork.learn.objectives.clm import CausalLM
from maskfork.learn.objectives.contract import Objective
from maskfork.learn.objectives.corruption import SpanCorruption
from maskfork.learn.objectives.denoise import Denoise
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.families import all_families

OBJECTIVES: dict[str, Callable[[Vocabulary], Objective]] = {
    "mlm": MaskedLM,
    "clm": lambda vocabulary: CausalLM(),
    "span-corruption": SpanCorruption,
    "denoise": Denoise,
}
USUAL = {"encoder": "mlm", "decoder": "clm", "encoder-decoder": "span-corruption"}


def usual_objective(family: str, fork: str) -> str:
    """What a family was made with."""
    return "denoise" if family in ("bart", "mbart") else USUAL[fork]


def objective_of(name: str, vocabulary: Vocabulary) -> Objective:
    """Raises UsageError with the list of names."""
    if name not in OBJECTIVES:
        raise UsageError(f"there is no objective {name!r}: choose from {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name](vocabulary)


def check_family(name: str) -> None:
    """Raises UsageError where no such family is known."""
    if name not in all_families():
        raise UsageError(f"there is no family {name!r}: choose from {', '.join(sorted(all_families()))}")
