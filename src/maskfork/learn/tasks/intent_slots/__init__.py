"""Intent and slots: what a command wants, and the spans that say with what; one encoder, two heads."""

from __future__ import annotations

from maskfork.learn.tasks.intent_slots.task import IntentSlotsTask

TASK = IntentSlotsTask()
