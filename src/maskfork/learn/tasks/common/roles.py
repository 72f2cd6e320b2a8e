"""Which column plays which role of a task: by the user's word, else by the names that the ecosystem gives it; and the split."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from maskfork.errors import DataError
from maskfork.learn.data.columns import resolve
from maskfork.learn.data.names import listed, quoted, simplify
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table
from maskfork.learn.tasks.common.contract import Examples, Role, Sources, Split
from maskfork.learn.tasks.common.hold import divided, each

E = TypeVar("E", bound=Examples)


def find_roles(table: Table, roles: Sequence[Role], given: Mapping[str, str]) -> dict[str, str]:
    """Role -> column, for the roles that the table has. `given` names columns by role (a number where there is no header).

    No column plays two roles. Raises DataError for a role or a column that there is not, and for a needed role without one.
    """
    strange = [role for role in given if role not in {r.name for r in roles}]
    if strange:
        raise DataError(f"there is no role {quoted(strange[0])} here: name columns for {listed([r.name for r in roles])}.")
    found = {role: resolve(table, name, role) for role, name in given.items()}
    simple = {simplify(column): column for column in reversed(table.columns) if column not in found.values()}
    for role in roles:
        if role.name in found:
            continue
        for known in (role.name, *role.known_as):
            if known in simple:
                found[role.name] = simple.pop(known)
                break
    missing = [role.name for role in roles if role.needed and role.name not in found]
    if missing:
        raise DataError(
            f"{table.path.name} has no column for {listed(missing)} (its columns are {listed(table.columns)}): "
            f"name it, as in --column {missing[0]}=NAME."
        )
    return found


def mapped(table: Table, found: Mapping[str, str]) -> str:
    """One sentence: which column was taken for what, and which were left out."""
    rest = [column for column in table.columns if column not in found.values()]
    taken = ", ".join(f"{role} from {quoted(column)}" for role, column in found.items())
    left = f"; left out: {listed(rest)}" if rest else ""
    return f"{table.path.name}: {taken}{left}."


def cells(table: Table, column: str) -> list[str]:
    """A column's values as texts, a missing one as an empty text."""
    return ["" if value is None else str(value) for value in table.frame[column].to_list()]


def split_of(
    sources: Sources, read: Callable[[Table], tuple[E, list[str]]], keys: Callable[[E], list[str]], wanted: Sequence[str] = ()
) -> Split[E]:
    """Files to a split: `read(table)` gives the rows and what is said of them, `keys(rows)` [N]: rows of one key stay together.

    What is held out is `divided`'s. Raises DataError.
    """

    def one(path: Path) -> tuple[E, list[str]]:
        table = read_table(path, [*sources.columns.values(), *wanted])
        rows, said = read(table)
        if not len(rows):
            raise DataError(f"{path.name} has no row that can be used ({' '.join(said) or 'it is empty'})")
        return rows, [*table.notes, *said]

    parts, notes = each(sources, one)
    return divided(parts, keys, sources, notes)
