"""What `train` and `tune` ask of the command line alike: a folder to write, a model to start from, columns by role."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.learn.tasks.common.contract import Task


def task_and_data(task: str | None, data: Path | None) -> tuple[Task[Any], Path]:
    """What `maskfork train TASK DATA` names. Raises UsageError where one of them is missing, with the task that fits the file."""
    from maskfork.learn.tasks import all_tasks, task_named, task_of

    if task is not None and data is not None and task_named(str(data)) is not None and Path(task).is_file():
        raise UsageError(f"the task comes first: maskfork train {data} {shlex.quote(task)} -o FOLDER")
    if task is not None and task_named(task) is None and (data is None or Path(task).is_file()):
        file = Path(task)
        if file.is_file() or file.suffix:
            raise UsageError(_missing_task(file))
    if task is None:
        raise UsageError(
            f"name a task and a file, maskfork train TASK DATA -o FOLDER: there are {', '.join(sorted(all_tasks()))}"
        )
    chosen = task_of(task)
    if data is None:
        raise UsageError(f"name the file to learn from: maskfork train {chosen.name} DATA -o FOLDER")
    return chosen, data


def _missing_task(file: Path) -> str:
    from maskfork.learn.tasks import all_tasks
    from maskfork.learn.tasks.which import fitting

    named = shlex.quote(str(file))
    told = fitting(file)
    if told is None:
        why = "" if file.exists() else " (and there is no such file)"
        return (
            f"{file} stands where the task belongs{why}: maskfork train TASK {named} -o FOLDER, and the tasks are "
            f"{', '.join(sorted(all_tasks()))}"
        )
    task, why = told
    others = ", ".join(sorted(set(all_tasks()) - {task}))
    fits = f"maskfork train {task} {named} -o FOLDER fits this file, because {why}"
    return f"the task is missing: {fits} (the other tasks are {others})"


def out_and_base(task: Task[Any], out: Path | None, model: str | None) -> tuple[Path, str]:
    """Raises UsageError where one of them is missing."""
    if out is None:
        raise UsageError("name the folder to write with -o")
    base = model or task.base
    if base is None:
        raise UsageError(
            f"{task.name} starts from a model that you name: --model and a folder, or a model of the Hub such as {task.such_as}"
        )
    return out, base


def columns_of(
    task: Task[Any], text: str | None, pair: str | None, label: str | None, column: Sequence[str] | None
) -> dict[str, str]:
    """Role -> column. Raises UsageError for a role that the task does not read."""
    from maskfork.learn.tasks.common.settings import assignments

    named = {"text": text, "pair": pair, "label": label}
    columns = {k: v for k, v in named.items() if v is not None} | assignments(column or [])
    known = [role.name for role in task.roles]
    stranger = next((role for role in columns if role not in known), None)
    if stranger is not None:
        raise UsageError(f"{task.name} reads no {stranger!r}: its columns are {', '.join(known)}")
    return columns
