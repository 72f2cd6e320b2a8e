"""Files to questions: a list of choices, or a column for each; the answer as a number, a letter or the choice itself."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.lists import listed_cell, object_cell
from maskfork.learn.data.read import read_table
from maskfork.learn.data.table import Table
from maskfork.learn.tasks.choose.examples import Question, Questions
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import cells, find_roles, mapped

ROLES = (
    Role("question", "what is asked, or begun", ("sent2", "startphrase", "premise", "query", "ctx", "prompt")),
    Role("context", "what is read before the question", ("article", "passage", "sent1", "support"), needed=False),
    Role("choices", "a list; or a column each: choice0, ending1, A ...", ("options", "endings", "answers"), needed=False),
    Role("answer", "the right one: its number from 0, its letter, or its words", ("label", "answerkey", "correct_answer")),
)
_COLUMN = re.compile(r"(?:choice|ending|option|sol|answer)[_ ]?(\d+|[a-e])", re.IGNORECASE)
LETTERS = "ABCDEFGHIJ"


def read_questions(path: Path, columns: Mapping[str, str]) -> tuple[Questions, list[str]]:
    """Rows with two choices or more and a right one; others are left out and counted. Raises DataError."""
    table = read_table(path, list(columns.values()))
    found = find_roles(table, ROLES, columns)
    own = [] if "choices" in found else _choice_columns(table, list(found.values()))
    if "choices" not in found and len(own) < 2:
        raise DataError(f"{path.name} has no column of choices and no columns such as choice0, choice1: name it with --column.")
    listed = _listed(table, found["choices"]) if "choices" in found else _beside(table, own)
    befores = cells(table, found["context"]) if "context" in found else [""] * len(listed)
    asked = zip(befores, cells(table, found["question"]), listed, cells(table, found["answer"]), strict=True)
    all_rows = [_question(f"{before} {text}".strip(), names, choices, answer) for before, text, (names, choices), answer in asked]
    rows = [row for row in all_rows if row is not None]
    notes = [*table.notes, mapped(table, {**found, **{f"choice {i}": c for i, c in enumerate(own)}})]
    if len(rows) < len(all_rows):
        notes.append(f"{path.name}: {len(all_rows) - len(rows):,} rows without two choices and a right one are left out.")
    if not rows:
        raise DataError(f"{path.name} has no question with its choices and the right one.")
    return Questions(tuple(rows)), notes


def _choice_columns(table: Table, taken: Sequence[str]) -> list[str]:
    named = [c for c in table.columns if c not in taken and (_COLUMN.fullmatch(c) or (len(c) == 1 and c.upper() in LETTERS))]
    return sorted(named, key=str.lower)


def _listed(table: Table, column: str) -> list[tuple[list[str], list[str]]]:
    """(names, choices) of each row; names are letters or numbers where the set gives them (`{"label": ..., "text": ...}`)."""
    out = []
    for cell in table.frame[column].to_list():
        both = object_cell(cell)
        if both is not None and isinstance(both.get("text"), list):
            out.append(([str(n) for n in both.get("label", [])], [str(t) for t in both["text"]]))
        else:
            out.append(([], [str(c) for c in listed_cell(cell)]))
    return out


def _beside(table: Table, columns: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    values = [cells(table, c) for c in columns]
    return [([], [c for c in row if c.strip()]) for row in zip(*values, strict=True)]


def _question(text: str, names: list[str], choices: list[str], answer: Any) -> Question | None:
    right = _right(names, choices, str(answer).strip())
    return None if right is None or len(choices) < 2 or not text else Question(text, tuple(choices), right)


def _right(names: list[str], choices: list[str], answer: str) -> int | None:
    if answer in names:
        return names.index(answer)
    if answer in choices:
        return choices.index(answer)
    number = int(answer) if answer.isdigit() else LETTERS.find(answer.upper()) if len(answer) == 1 else -1
    return number if 0 <= number < len(choices) else None
