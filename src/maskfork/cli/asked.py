"""What `train` and `tune` ask of the command line alike: a folder to write, a model to start from, columns by role."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfork.errors import UsageError

if TYPE_CHECKING:
    from maskfork.learn.tasks.common.contract import Task


def out_and_base(task: Task[Any], out: Path | None, model: str | None) -> tuple[Path, str]:
    """Raises UsageError where one of them is missing."""
    if out is None:
        raise UsageError("name the folder to write with -o")
    base = model or task.base
    if base is None:
        raise UsageError(f"{task.name} starts from a model of yours: name it with --model")
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
