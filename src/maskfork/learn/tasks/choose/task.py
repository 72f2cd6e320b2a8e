"""The task: files, training, and the folder that comes out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.tasks.choose.chooser import Chooser, read, scores_of
from maskfork.learn.tasks.choose.examples import Questions
from maskfork.learn.tasks.choose.reading import ROLES, read_questions
from maskfork.learn.tasks.common.contract import Progress, Sources, Split, Task
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.hold import divided, each, with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models.device import best_device
from maskfork.models.encode import limit_of
from maskfork.models.hub import load


@dataclass(frozen=True)
class ChooseSettings(TaskSettings):
    """Those of every task: a choice belongs to its row alone, so there are no classes."""

    UNHEEDED: ClassVar[tuple[str, ...]] = ("class_weight", "label_smoothing", "teacher")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.on_long == "chunk":
            raise UsageError("a choice is read beside its question in one piece: on_long is error, truncate or head+tail")


class ChooseTask(Task[Questions]):
    """One of several choices is right."""

    name = "choose"
    about = "multiple choice: which of the choices answers the question, or goes on with the text"
    roles = ROLES
    settings = ChooseSettings
    heads = ("choice",)

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Questions]:
        """A column of lists, or a column a choice."""
        parts, notes = each(sources, lambda path: read_questions(path, sources.columns))
        return divided(parts, lambda rows: rows.keys(), sources, notes)

    def train(
        self,
        base: str | Path,
        split: Split[Questions],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Chooser:
        """A fresh score on `base`, its best epoch by accuracy on validation rows. Raises DataError, UsageError."""
        model = load(base, "choice", seed=seed).to(best_device())
        settings = within(model, settings)
        rows, held = with_validation(split, lambda r: r.keys(), settings, seed)
        made = Chooser(model, settings.max_length, settings.on_long)
        lesson, answers = read(model, rows.rows, settings.max_length, settings.on_long), rows.answers
        note = lesson.encoding.lost_note(limit_of(model, settings.max_length) or 0)
        made.notes += [note] if note is not None else []

        def make(part: np.ndarray) -> tuple[Batch, list[int], Tensor]:
            return *lesson.batch(part), torch.from_numpy(answers[part])

        def loss(module: nn.Module, batch: tuple[Batch, list[int], Tensor]) -> Tensor:
            packed, counts, right = batch
            scores = scores_of(module, packed.to(model.device), counts)
            return cross_entropy(scores, right.to(model.device))

        def evaluate(module: nn.Module) -> tuple[float, float]:
            found, _ = made.probabilities(held.rows)
            right = [float(p[q.answer]) for p, q in zip(found, held.rows, strict=True)]
            hits = [int(p.argmax()) == q.answer for p, q in zip(found, held.rows, strict=True)]
            return float(np.mean(hits)), float(np.mean(np.log(np.maximum(right, 1e-12))))

        made.record = fit_rows(
            model, lesson.lengths, make, loss, settings, seed=seed, evaluate=evaluate if len(held) else None,
            progress=progress, work=work,
        )  # fmt: skip
        made.notes += made.record.notes
        return made

    def open(self, folder: Path) -> Chooser:
        return Chooser.open(folder)
