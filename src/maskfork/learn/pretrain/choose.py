"""The objective of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import Objective
from maskfork.learn.objectives.names import by_name, find
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.families import all_families
from maskfork.models.tokenizers import Tokenizer

USUAL = {"encoder": "mlm", "decoder": "clm", "encoder-decoder": "span-corruption"}
OWN = {"bart": "denoise", "mbart": "denoise", "electra": "rtd", "albert": "sop", "xlnet": "permutation"}


def usual_objective(family: str, fork: str) -> str:
    """What a family was made with."""
    return OWN.get(family, USUAL[fork])


def objective_of(
    name: str, tokenizer: Tokenizer | Vocabulary, settings: Sequence[str] = (), length: int | None = None
) -> Objective:
    """By its name, with settings as `rate=0.3`; those that make sequences themselves make them `length` tokens long.

    Raises UsageError with what there is, TokenizerError.
    """
    given: dict[str, Any] = {}
    for one in settings:
        key, sign, value = one.partition("=")
        if not sign:
            raise UsageError(f"a setting of an objective is name=value, as rate=0.3, not {one!r}")
        given[key.strip().replace("-", "_")] = value.strip()
    if length is not None and "length" in find(name).settings:
        given.setdefault("length", length)
    return by_name(name, tokenizer, **given)


def check_family(name: str) -> None:
    """Raises UsageError where no such family is known."""
    if name not in all_families():
        raise UsageError(f"there is no family {name!r}: choose from {', '.join(sorted(all_families()))}")
