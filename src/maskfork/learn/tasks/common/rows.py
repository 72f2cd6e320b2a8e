"""Rows of a file as a trained model is asked them: by the roles of its task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.lists import listed_cell, object_cell
from maskfork.learn.data.names import listed
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import find_roles


def rows_of_file(path: Path, roles: Sequence[Role], given: Mapping[str, str], second: str | None = None) -> list[dict[str, Any]]:
    """A row a mapping from role to value; lists and objects are such again. `given` and `second` (of the second role) name
    columns. Raises DataError where no role is found, or there is no row.
    """
    named = {**given, **({} if second is None else {roles[1].name: second})}
    table = read_table(path, [*named.values(), *(role.name for role in roles)])
    return rows_of_table(table, roles_asked(table, roles, named))


def roles_asked(table: Table, roles: Sequence[Role], named: Mapping[str, str]) -> dict[str, str]:
    """Role -> column, for those that the table has. Raises DataError where it has none."""
    found = find_roles(table, [replace(role, needed=False) for role in roles], named)
    if not found:
        raise DataError(
            f"{table.path.name} has no column for {listed([role.name for role in roles])} "
            f"(its columns are {listed(table.columns)}): name one with --text"
        )
    return found


def rows_of_table(table: Table, found: Mapping[str, str]) -> list[dict[str, Any]]:
    """A row a mapping from role to value, what is missing left out."""
    columns = {role: table.frame[column].to_list() for role, column in found.items()}
    return [
        {role: _value(cells[i]) for role, cells in columns.items() if cells[i] is not None} for i in range(table.frame.height)
    ]


def _value(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith("["):
        return listed_cell(cell)
    known = object_cell(cell)
    return cell if known is None else known
