"""Files to lessons: a column of messages, or one of prompts and one of completions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.lists import listed_cell
from maskfork.learn.data.read import read_table
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import cells, find_roles, mapped
from maskfork.learn.tasks.instruct.examples import Lessons, Pair, Talk

ROLES = (
    Role("messages", "a list of {role, content}; the assistant's are learnt", ("conversation", "conversations"), needed=False),
    Role("prompt", "what is asked", ("instruction", "question", "input"), needed=False),
    Role("completion", "what is to be answered", ("response", "output", "answer"), needed=False),
)
_NAMES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant"}  # ShareGPT's and Gemma's


def read_lessons(path: Path, columns: Mapping[str, str]) -> tuple[Lessons, list[str]]:
    """Rows that teach something; others are left out and counted. Raises DataError."""
    table = read_table(path, list(columns.values()))
    given: Sequence[Talk | Pair | None]
    found = find_roles(table, ROLES, columns)
    if "messages" in found:
        found = {"messages": found["messages"]}
        given = [_talk(listed_cell(cell)) for cell in table.frame[found["messages"]].to_list()]
    elif {"prompt", "completion"} <= set(found):
        both = zip(cells(table, found["prompt"]), cells(table, found["completion"]), strict=True)
        given = [Pair(p, c) if p.strip() and c.strip() else None for p, c in both]
    else:
        raise DataError(
            f"{path.name} has neither messages nor prompt and completion: name the columns, as in --column messages=NAME."
        )
    rows: list[Talk | Pair] = [row for row in given if row is not None]
    notes = [*table.notes, mapped(table, found)]
    if len(rows) < len(given):
        notes.append(f"{path.name}: {len(given) - len(rows):,} rows without an answer of the assistant are left out.")
    if not rows:
        raise DataError(
            f"{path.name} has no row that is asked and answered; give each a turn of the user and one of the assistant."
        )
    return Lessons(tuple(rows)), notes


def _talk(cell: list[Any]) -> Talk | None:
    """Up to the assistant's last answer; None where it says nothing."""
    said = [_message(one) for one in cell if isinstance(one, dict)]
    while said and said[-1]["role"] != "assistant":
        said.pop()
    return tuple(said) if len(said) > 1 else None


def _message(one: dict[str, Any]) -> dict[str, Any]:
    role = str(one.get("role", one.get("from", "user")))
    rest = {k: v for k, v in one.items() if k not in ("role", "from", "content", "value")}
    return {"role": _NAMES.get(role, role), "content": str(one.get("content", one.get("value", ""))), **rest}
