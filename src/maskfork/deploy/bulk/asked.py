"""How a trained model of any task is asked the rows of a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskfork.decide.compare.winner import answerer, open_predictor
from maskfork.deploy.bulk.run import Asked
from maskfork.learn.data.columns import resolve
from maskfork.learn.data.names import quoted
from maskfork.learn.data.table import Table
from maskfork.learn.data.unlabelled import find_text
from maskfork.learn.tasks import task_in
from maskfork.learn.tasks.common.roles import cells, mapped
from maskfork.learn.tasks.common.rows import roles_asked, rows_of_table

Take = Callable[[Table], list[dict[str, Any]]]


def open_asked(model: Path, text: str | None, pair: str | None, tell: Callable[[str], None]) -> Asked:
    """`text` and `pair` name columns; `tell` hears which column was taken for what. Raises ModelError."""
    task = task_in(model)
    answer = answerer(open_predictor(model)) if task is None else task.open(model).predict
    return Asked(columns_asked(model, text, pair, tell), answer)


def columns_asked(model: Path, text: str | None, pair: str | None, tell: Callable[[str], None]) -> Callable[[Table], Take]:
    """Of a table: what takes from such tables the rows that the model in a folder is asked."""
    task = task_in(model)
    roles = () if task is None else task.roles
    names = [role.name for role in roles]

    def of_texts(begin: Table) -> Take:
        column = resolve(begin, text, "--text") if text else find_text(begin)
        second = resolve(begin, pair, "--pair") if pair else None
        tell(f"the texts are column {quoted(column)}" + (f", the second ones {quoted(second)}" if second else ""))

        def take(table: Table) -> list[dict[str, Any]]:
            first = cells(table, column)
            if second is None:
                return [{"text": one} for one in first]
            return [{"text": one, "pair": other} for one, other in zip(first, cells(table, second), strict=True)]

        return take

    def of_roles(begin: Table) -> Take:
        named = {**({} if text is None else {names[0]: text}), **({} if pair is None else {names[1]: pair})}
        found = roles_asked(begin, roles, named)
        tell(mapped(begin, found))
        return lambda table: rows_of_table(table, found)

    labels = task is None or {"text", "label"} <= set(names)
    return of_texts if labels else of_roles
