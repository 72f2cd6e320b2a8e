"""The task: files, training, and the folder that comes out."""

from __future__ import annotations

from pathlib import Path

from maskfork.learn.tasks.answer.examples import Questions
from maskfork.learn.tasks.answer.reading import ROLES, read_questions
from maskfork.learn.tasks.answer.settings import AnswerSettings
from maskfork.learn.tasks.answer.trained import Answerer, Reading
from maskfork.learn.tasks.answer.training import Held, aims_of, loss_of
from maskfork.learn.tasks.common.contract import Progress, Sources, Split, Task
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.hold import divided, each, with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models.device import best_device
from maskfork.models.encode import limit_of
from maskfork.models.hub import load


class AnswerTask(Task[Questions]):
    """Extractive question answering."""

    name = "answer"
    about = "the span of a text that answers a question, or that there is none"
    roles = ROLES
    settings = AnswerSettings
    heads = ("span",)

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Questions]:
        """SQuAD's JSON, v1.1 or v2.0, or tables; the questions of one context are on one side."""
        parts, notes = each(sources, lambda path: read_questions(path, sources.columns))
        return divided(parts, lambda rows: rows.contexts, sources, notes)

    def train(
        self,
        base: str | Path,
        split: Split[Questions],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Answerer:
        """A fresh span head on `base`, its best epoch by F1 on validation questions. Raises DataError."""
        how = AnswerSettings.of(settings)
        rows, held_rows = with_validation(split, lambda r: r.contexts, how, seed)
        model = load(base, "span", seed=seed).to(best_device())
        how = within(model, how)
        reading = Reading(how.max_length, how.on_long, how.stride, how.max_answer, how.n_best)
        made = Answerer(model, reading, 0.0 if split.train.with_no_answer else None)
        windows = made.windows(rows.questions, rows.contexts)
        if (note := windows.note(how.on_long, limit_of(model, how.max_length) or 0)) is not None:
            made.notes.append(note)
        aims = aims_of(windows, rows)
        held = Held(made, held_rows) if len(held_rows) else None
        made.record = fit_rows(
            model, aims.lengths, aims.make, loss_of(made, how), how, seed=seed,
            evaluate=None if held is None else held.score, progress=progress, work=work,
        )  # fmt: skip
        made.notes += made.record.notes
        if held is not None:
            held.tune()
        return made

    def open(self, folder: Path) -> Answerer:
        return Answerer.open(folder)
