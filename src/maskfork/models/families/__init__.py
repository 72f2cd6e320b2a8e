"""Model families: one file of data each, found by `model_type`. Adding one touches no other file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from maskfork.errors import ModelError
from maskfork.models.families.family import Config, Family


@cache
def all_families() -> dict[str, Family]:
    """Every family by its `model_type`."""
    found: dict[str, Family] = {}
    for module in iter_modules(__path__):
        family = getattr(import_module(f"{__name__}.{module.name}"), "FAMILY", None)
        if isinstance(family, Family):
            found[family.name] = family
    return found


def family_of(config: Config, tensors: Iterable[str] = ()) -> Family:
    """The family of a config.json; where it is silent, as in folders of 2019, that of the `tensors` by their prefix.

    Raises ModelError that lists the families and names the nearest.
    """
    families = all_families()
    name = config.get("model_type")
    for family in families.values():
        if name in family.old_types:
            return family
        if name is None and family.nameless and any(tensor.startswith(family.prefix) for tensor in tensors):
            return family
    if name is None:
        raise ModelError(f"config.json has no model_type: add one of {', '.join(sorted(families))}")
    if name not in families:
        near = difflib.get_close_matches(str(name), families, n=1, cutoff=0.0)
        raise ModelError(
            f"model_type '{name}' is not a family that is known here: known are {', '.join(sorted(families))}; "
            f"the nearest is {near[0]}"
        )
    return families[name]


__all__ = ["Config", "Family", "all_families", "family_of"]
