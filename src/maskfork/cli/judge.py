"""Trained models of a task on labelled rows: the part of `maskfork evaluate` that is not about perplexity."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfork.cli.lines import score_lines
from maskfork.cli.output import emit, emit_json, say
from maskfork.cli.where import model_folder
from maskfork.errors import ModelError, UsageError

if TYPE_CHECKING:
    from maskfork.learn.tasks.common.contract import Task
    from maskfork.learn.tasks.common.settings import TaskSettings


def judge(models: Sequence[str], data: Path, columns: Mapping[str, str], *, as_json: bool) -> None:
    """Each model's scores on all rows of `data`. Raises ModelError for a folder of no task, DataError for the rows."""
    from maskfork.learn.tasks import task_in
    from maskfork.learn.tasks.common.contract import Sources
    from maskfork.learn.tasks.common.job import plain_scores

    found: dict[str, Any] = {}
    for model in models:
        folder = model_folder(model)
        task = task_in(folder)
        if task is None:
            raise ModelError(f"{model} is no folder of a trained task: train one with `maskfork train`, or measure --perplexity.")
        trained = task.open(folder)
        split = task.read_for(trained, Sources(data, test=data, columns=dict(columns)), _settings(task, folder))
        for note in split.notes:
            say(note)
        scores = plain_scores(trained.evaluate(split.test))
        found[model] = {"task": task.name, **scores}
        if not as_json:
            head = [f"{model} ({task.name})"] if len(models) > 1 else []
            emit("\n".join([*head, *score_lines(scores, "rows")]))
    if as_json:
        emit_json(found)


def _settings(task: Task[Any], folder: Path) -> TaskSettings:
    """Those that the model was trained with, by its train.json; the defaults where it has none, or of another version."""
    from maskfork.learn.tasks.common.job import RECORD
    from maskfork.learn.tasks.common.settings import settings_of

    file = folder / RECORD
    if not file.is_file():
        return task.settings()
    try:
        return settings_of(task.settings, json.loads(file.read_text("utf-8"))["settings"])
    except (ValueError, KeyError, UsageError) as error:
        raise ModelError(f"{file} cannot be used ({error}): train the model again, or remove that file.") from error
