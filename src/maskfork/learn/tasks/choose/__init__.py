"""Multiple choice."""

from maskfork.learn.tasks.choose.task import ChooseTask

TASK = ChooseTask()
