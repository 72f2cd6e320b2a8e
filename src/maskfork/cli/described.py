"""A task file as the verbs read it: the options of the command line go before its own `ask:`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfork.cli.where import model_place

if TYPE_CHECKING:
    from maskfork.prompt.tasks import TaskDescription


def described(file: Path, **how: Any) -> TaskDescription:
    """The task with what is given (not None) of its `How`; a template and an encoder by their names. Raises UsageError."""
    from maskfork.prompt.tasks import read_task
    from maskfork.prompt.templates import template_of

    task = read_task(file)
    if how.get("template") is not None:
        how["template"] = template_of(how["template"])
    encoder = how.pop("encoder", None) or task.how.encoder
    return replace(task, how=task.how.but(encoder=None if encoder is None else model_place(encoder), **how))
