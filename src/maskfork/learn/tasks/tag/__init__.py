"""Tag: spans of a text and their labels (names, slots), or a label for every word (parts of speech)."""

from __future__ import annotations

from maskfork.learn.tasks.tag.task import TagTask

TASK = TagTask()
