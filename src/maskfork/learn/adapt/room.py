"""The places that an adapter will take from a model's own: texts are read before it is put in."""

from __future__ import annotations

from maskfork.learn.adapt.names import by_name
from maskfork.models.adapters import Prefix, Prompt
from maskfork.models.model import Model


def room(model: Model, adapter: str | None, limit: int | None = None) -> int | None:
    """The most tokens of a text, special ones included, beside the virtual tokens of the adapter of this name; None: no limit."""
    if adapter is None:
        return limit
    description = by_name(adapter)
    if model.longest is None or not isinstance(description, Prefix | Prompt):
        return limit
    left = model.longest - description.length
    return left if limit is None else min(limit, left)
