"""A task in a few lines of YAML: what is asked, the labels, examples, and what the answer looks like."""

from maskfork.prompt.tasks.description import Example, Label, Span, TaskDescription
from maskfork.prompt.tasks.how import How
from maskfork.prompt.tasks.read import read_task

__all__ = ["Example", "How", "Label", "Span", "TaskDescription", "read_task"]
