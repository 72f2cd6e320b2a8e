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
from maskfork.learn.tasks.common.hold import hold_out, without_leaks

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

    Without a test file a share of the training's is held out; training rows with a key that is held out are removed. Raises
    DataError.
    """

    def of(path: Path) -> tuple[E, list[str]]:
        table = read_table(path, [*sources.columns.values(), *wanted])
        rows, said = read(table)
        if not len(rows):
            raise DataError(f"{path.name} has no row that can be used ({' '.join(said) or 'it is empty'})")
        return rows, [*table.notes, *said]

    train, notes = of(sources.train)
    parts: dict[str, E | None] = {"validation": None, "test": None}
    for name, path in (("validation", sources.validation), ("test", sources.test)):
        if path is not None:
            parts[name], said = of(path)
            notes += said
    if sources.test is None and sources.test_share > 0:
        inside, held = hold_out(keys(train), sources.test_share, sources.seed)
        notes.append(
            f"Held out: {len(held):,} rows drawn from {sources.train.name} (seed {sources.seed}); "
            f"{len(inside):,} rows to train on."
        )
        parts["test"], train = train.take(held), train.take(inside)
    for part in parts.values():
        if part is not None:
            kept, gone = without_leaks(keys(train), keys(part))
            if gone is not None and len(kept):
                train = train.take(kept)
                notes.append(gone)
    return Split(train, parts["validation"], parts["test"], tuple(notes))
