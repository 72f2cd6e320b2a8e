"""A decoder is taught to answer (supervised fine-tuning)."""

from maskfork.learn.tasks.instruct.task import InstructTask

TASK = InstructTask()
