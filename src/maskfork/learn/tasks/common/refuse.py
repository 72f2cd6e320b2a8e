"""Settings that every task has and not every task can do: refused, never passed over."""

from __future__ import annotations

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.settings import TaskSettings


def one_reading(settings: TaskSettings, task: str) -> None:
    """For tasks that read a text once and learn from its rows alone. Raises UsageError for windows, gaps and teachers."""
    if settings.on_long not in ("truncate", "error"):
        raise UsageError(f"{task} reads the beginning of a text: take on_long truncate or error, or cut long texts into rows")
    if settings.teacher is not None:
        raise UsageError(f"{task} learns from its rows and from no teacher: leave teacher out")
