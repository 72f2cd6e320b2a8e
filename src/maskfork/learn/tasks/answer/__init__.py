"""Answer: the span of a context that answers a question, or that there is none."""

from __future__ import annotations

from maskfork.learn.tasks.answer.task import AnswerTask

TASK = AnswerTask()
