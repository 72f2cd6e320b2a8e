"""A task in a few lines of YAML: what is asked, the labels, examples, and what the answer looks like."""

from maskfork.prompt.tasks.description import Example, Label, Span, TaskDescription
from maskfork.prompt.tasks.read import read_task

__all__ = ["Example", "Label", "Span", "TaskDescription", "read_task"]
