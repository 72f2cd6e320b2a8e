"""Tasks: one file or package each, found by name. Adding one touches no other file."""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from maskfork.errors import ModelError, UsageError
from maskfork.learn.tasks.common.contract import Task, Trained
from maskfork.models.about import said_of
from maskfork.models.formats.belongs import MODULES
from maskfork.models.hub import named_head


def all_tasks() -> dict[str, Task[Any]]:
    """Every task by its name."""
    found: dict[str, Task[Any]] = {}
    for module in iter_modules(__path__):
        task = getattr(import_module(f"{__name__}.{module.name}"), "TASK", None)
        if isinstance(task, Task):
            found[task.name] = task
    return found


def task_named(name: str) -> Task[Any] | None:
    """The task of this name, and no other is imported; None where there is none."""
    module = name.replace("-", "_")
    if module not in {found.name for found in iter_modules(__path__)}:
        return None
    task = getattr(import_module(f"{__name__}.{module}"), "TASK", None)
    return task if isinstance(task, Task) and task.name == name else None


def task_of(name: str) -> Task[Any]:
    """The task of this name. Raises UsageError that lists them."""
    task = task_named(name)
    if task is None:
        tasks = all_tasks()
        near = get_close_matches(name, tasks, n=1, cutoff=0.5)
        cure = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(tasks))}"
        raise UsageError(f"there is no task {name!r}: {cure}")
    return task


def task_in(folder: Path) -> Task[Any] | None:
    """The task that a model's folder is of: by maskfork.json, by the head that config.json names, or by sentence-transformers'
    modules.json; None for none.
    """
    kind = said_of(folder).get("kind")
    if kind is not None:
        return task_named(str(kind))
    head = named_head(folder) if (folder / "config.json").is_file() else None
    found = next((task for task in all_tasks().values() if head in task.heads), None) if head is not None else None
    return task_named("embed") if found is None and (folder / MODULES).is_file() else found


def open_trained(folder: Path) -> Trained:
    """The model in a folder that a task saved, or in one of the Hub's. Raises ModelError."""
    if not folder.is_dir():
        raise ModelError(f"There is no folder {folder}: give the folder of a model.")
    task = task_in(folder)
    if task is None:
        raise ModelError(f"{folder} names no task in maskfork.json or config.json: train one with `maskfork train`.")
    return task.open(folder)
