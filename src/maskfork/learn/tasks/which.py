"""Which task a file's columns are made for, by the names that each task knows."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import DataError
from maskfork.learn.data.columns import find_columns
from maskfork.learn.data.names import simplify
from maskfork.learn.data.read import read_table
from maskfork.learn.data.squad import read_squad
from maskfork.learn.data.table import Table
from maskfork.learn.tasks import all_tasks

#: a task and the roles that tell it, the most telling first
_TELLING = (
    ("answer", ("question", "context", "answers")),
    ("choose", ("question", "choices", "answer")),
    ("intent-slots", ("tokens", "slots", "intent")),
    ("tag", ("tokens", "tags")),
    ("tag", ("text", "spans")),
    ("instruct", ("messages",)),
    ("instruct", ("prompt", "completion")),
    ("rerank", ("query", "document", "label")),
    ("classify", ("text", "label")),
    ("seq2seq", ("source", "target")),
    ("embed", ("anchor", "positive")),
)
#: they know names of pairs that are mostly labelled
_VAGUE = ("rerank", "embed")


def fitting(file: Path) -> tuple[str, str] | None:
    """(task, what of the file tells it); None where nothing does, or the file cannot be read."""
    try:
        if read_squad(file) is not None:
            return "answer", "its layout is SQuAD's"
        table = read_table(file)
    except DataError:
        return None
    if table.format == "CoNLL columns":
        return "tag", "it holds CoNLL columns"
    # the names most used for a role tell more than the rarer ones, some of which several tasks know
    return _by_names(table, 1) or _by_names(table, None) or _by_looks(table)


def _by_names(table: Table, most: int | None) -> tuple[str, str] | None:
    """By the roles' own names and `most` of the others (None: all)."""
    tasks = all_tasks()
    for name, wanted in _TELLING:
        if most is None and name in _VAGUE:
            continue
        roles = [role for role in tasks[name].roles if role.name in wanted]
        left = {simplify(column): column for column in reversed(table.columns)}
        found = []
        for role in sorted(roles, key=lambda role: wanted.index(role.name)):
            known = next((one for one in (role.name, *role.known_as[:most]) if one in left), None)
            if known is not None:
                found.append(left.pop(known))
        if len(found) == len(wanted):
            return name, f"it has the columns {', '.join(found)}" if len(found) > 1 else f"it has the column {found[0]}"
    return None


def _by_looks(table: Table) -> tuple[str, str] | None:
    try:
        found = find_columns(table)
    except DataError:
        return None
    return "classify", f"its column {found.text} looks like texts and {found.label} like labels"
