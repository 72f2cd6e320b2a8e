"""A described task, asked of a decoder: labels, several labels, spans of the text, or JSON; with a confidence each."""

from __future__ import annotations

from pathlib import Path

from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.prompt.ask.asker import Asker, classifier_of
from maskfork.prompt.tasks.description import TaskDescription

__all__ = ["Asker", "classifier_of", "open_asker"]


def open_asker(decoder: str | Path | Model, task: TaskDescription) -> Asker:
    """Who answers a task. Raises UsageError where the decoder cannot be prompted, or not in the way that `ask` says."""
    from maskfork.prompt.ask.label import LabelAsker
    from maskfork.prompt.ask.schema import SchemaAsker
    from maskfork.prompt.ask.several import SeveralAsker
    from maskfork.prompt.ask.spans import SpansAsker
    from maskfork.prompt.ask.voted import VotedAsker

    how = task.how
    if task.output == "labels" and how.writes:
        raise UsageError("several labels are read by the likelihood of yes and no: leave samples and reason out")
    if task.output not in ("label", "labels") and (how.orders > 1 or how.calibrate or how.reason):
        raise UsageError("spans and JSON are written, not read off likelihoods: leave orders, calibrate and reason out")
    if task.output == "label":
        return VotedAsker(decoder, task) if how.writes else LabelAsker(decoder, task)
    if task.output == "labels":
        return SeveralAsker(decoder, task)
    return SpansAsker(decoder, task) if task.output == "spans" else SchemaAsker(decoder, task)
