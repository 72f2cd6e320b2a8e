"""`maskfork families`: the model families that load here, from their own data."""

from __future__ import annotations

from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit, emit_json


def families(name: str | None = None, *, json: JsonFlag = False, config: ConfigFile = None) -> None:
    """List the families: which side of the fork, mask rules, positions, heads, and what of the Hub loads into them.

    Parameters
    ----------
    name
        One family by its model_type: all about it, with the sizes of its published checkpoints.
    """
    from maskfork.models.catalog import catalog, find
    from maskfork.view.families import families_table, family_text, summary

    if name is not None:
        entry = find(name)
        emit_json(entry) if json else emit(family_text(entry))
        return
    entries = catalog()
    if json:
        emit_json(entries)
        return
    emit(families_table(entries))
    emit(summary(entries))
