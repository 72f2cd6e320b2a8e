"""Classify: a label, several, or a number for a text or a pair.

    read ─> hold ─> training (losses, reading, distil) ─> tune ─> Sorter: rules ─> answers, score ─> scores

`Classifier` is the plain one-label model that a comparison fits.
"""

from __future__ import annotations

from maskfork.learn.tasks.classify.classifier import Classifier
from maskfork.learn.tasks.classify.hold import validation_split
from maskfork.learn.tasks.classify.losses import class_weights
from maskfork.learn.tasks.classify.reading import run
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.classify.task import Classify

TASK = Classify()

__all__ = ["TASK", "Classifier", "Classify", "Sorter", "class_weights", "run", "validation_split"]
