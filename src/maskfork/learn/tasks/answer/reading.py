"""Files to questions: SQuAD's JSON, or a table with a question, a context and its answers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskfork.errors import DataError
from maskfork.learn.data.lists import listed_cell, object_cell
from maskfork.learn.data.names import quoted
from maskfork.learn.data.read import read_table
from maskfork.learn.data.squad import Asked, read_squad
from maskfork.learn.data.table import as_label
from maskfork.learn.tasks.answer.examples import Gold, Questions
from maskfork.learn.tasks.common.contract import Role
from maskfork.learn.tasks.common.roles import cells, find_roles, mapped

ROLES = (
    Role("question", "what is asked", ("query",)),
    Role("context", "the text that holds the answer", ("passage", "paragraph", "document", "text")),
    Role("answers", "its answers: a text, a list, or {text: [...], answer_start: [...]}; empty where there is none", ("answer",)),
    Role("start", "where in the context the answer begins", ("answer_start", "answer_begin"), needed=False),
    Role("id", "the question's name in predictions", ("key", "qid", "question_id"), needed=False),
)


def read_questions(path: Path, columns: Mapping[str, str]) -> tuple[Questions, list[str]]:
    """The questions of a file and what is to be said of them. Raises DataError."""
    asked = read_squad(path)
    notes = [] if asked is None else [f"{path.name} is read as SQuAD's JSON."]
    if asked is None:
        asked = _from_table(path, columns, notes)
    kept = [one for one in asked if one.question.strip() and one.context.strip()]
    if not kept:
        raise DataError(f"{path.name} holds no question with a context; give some.")
    if len(kept) < len(asked):
        notes.append(f"{path.name}: {len(asked) - len(kept):,} rows lack a question or a context and are left out.")
    moved, nowhere = [0], [0]
    answers = tuple(tuple(_placed(one.context, text, start, moved, nowhere) for text, start in one.answers) for one in kept)
    without = sum(not row for row in answers)
    contexts = len({one.context for one in kept})
    notes.append(
        f"{path.name}: {len(kept):,} questions on {contexts:,} contexts"
        + (f", {without:,} without an answer." if without else ".")
    )
    if moved[0]:
        notes.append(
            f"{path.name}: {moved[0]:,} answers do not stand where the file says; the nearest place that has them is taken."
        )
    if nowhere[0]:
        notes.append(f"{path.name}: {nowhere[0]:,} answers do not stand in their context: nothing is learnt from them.")
    parts = zip(*((one.key, one.question, one.context) for one in kept), strict=True)
    keys, questions, texts = (tuple(part) for part in parts)
    return Questions(keys, questions, texts, answers, without > 0), notes


def _placed(context: str, text: str, start: int, moved: list[int], nowhere: list[int]) -> Gold:
    """The answer at the place that the file says, else at the nearest one that has it."""
    if start >= 0 and context[start : start + len(text)] == text:
        return text, start
    found, at = [], context.find(text)
    while at >= 0:
        found.append(at)
        at = context.find(text, at + 1)
    if not found or not text:
        nowhere[0] += 1
        return text, -1
    moved[0] += start >= 0
    return text, min(found, key=lambda place: abs(place - max(start, 0)))


def _from_table(path: Path, columns: Mapping[str, str], notes: list[str]) -> list[Asked]:
    table = read_table(path, [*columns.values(), "question", "context"])
    found = find_roles(table, ROLES, columns)
    notes += [*table.notes, mapped(table, found)]
    values = {role: cells(table, found[role]) for role in ("question", "context", "answers")}
    starts = table.frame[found["start"]].to_list() if "start" in found else [None] * table.frame.height
    keys = cells(table, found["id"]) if "id" in found else [str(i + 1) for i in range(table.frame.height)]
    if len(set(keys)) < len(keys):
        raise DataError(f"{path.name}: two questions are both called {quoted(_double(keys))}: give each an id of its own.")
    return [
        Asked(key, question, context, tuple(_answers(cell, start, f"{path.name}, row {number}")))
        for number, (key, question, context, cell, start) in enumerate(
            zip(keys, values["question"], values["context"], values["answers"], starts, strict=True), 1
        )
    ]


def _double(keys: list[str]) -> str:
    seen: set[str] = set()
    return next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]


def _answers(cell: str, start: Any, where: str) -> list[Gold]:
    both = object_cell(cell)
    if both is not None:
        texts, places = both.get("text", []), both.get("answer_start", both.get("start", []))
        texts, places = ([x] if not isinstance(x, list) else x for x in (texts, places))
    else:
        items = listed_cell(cell)
        if all(isinstance(item, dict) for item in items):
            texts = [item.get("text") for item in items]
            places = [item.get("answer_start", item.get("start", -1)) for item in items]
        else:
            texts, places = [as_label(item) for item in items], [] if start in (None, "") else [start]
    places = [*places, *[-1] * (len(texts) - len(places))]
    if any(not isinstance(text, str) for text in texts):
        raise DataError(f"{where}: {quoted(cell)} holds no answers: give a text, or {{text: [...], answer_start: [...]}}.")
    try:
        return [(text, int(place)) for text, place in zip(texts, places, strict=False) if text]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: an answer starts at a whole number of characters, not {quoted(str(places))}.") from error
