"""The task: files, training, and the folder that comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Progress, Sources, Split, Task
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.hold import divided, with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.common.tokenwise import token_logits
from maskfork.learn.tasks.tag.examples import Tagged, tag_names
from maskfork.learn.tasks.tag.prepare import Prepared, Reading, prepare
from maskfork.learn.tasks.tag.reading import ROLES, read_tagged
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.learn.tasks.tag.teach import check_teacher, wisdom_of
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.learn.tasks.tag.training import Held, aims_of, loss_of
from maskfork.models.device import best_device
from maskfork.models.hub import load


class TagTask(Task[Tagged]):
    """Spans and their labels, or a label for every word."""

    name = "tag"
    about = "names, slots, parts of speech: spans of a text, or a label for every word"
    roles = ROLES
    settings = TagSettings
    heads = ("tag",)

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Tagged]:
        """CoNLL columns; lists of words and tags; texts with spans of characters."""
        named = {"train": sources.train, "validation": sources.validation, "test": sources.test}
        given = {name: path for name, path in named.items() if path is not None}
        names = settings.tag_names if isinstance(settings, TagSettings) else ()
        read, notes = read_tagged(list(given.values()), sources.columns, names)
        return divided(dict(zip(given, read, strict=True)), lambda rows: rows.texts, sources, notes)

    def train(
        self,
        base: str | Path,
        split: Split[Tagged],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Tagger:
        """A fresh token classifier on `base`, its best epoch by span F1 (or accuracy) on validation rows. Raises DataError."""
        how = TagSettings.of(settings)
        rows, held_rows = with_validation(split, lambda r: r.texts, how, seed)
        names = tag_names(rows.kind, split.train.label_names())
        if len(names) < 2:
            raise DataError("training needs labels: every word of the train rows is the same or none has a label.")
        model = load(base, "tag", labels=names, seed=seed).to(best_device())
        how = within(model, how)
        made = Tagger(model, rows.kind, Reading(how.max_length, how.on_long, how.stride, how.label_on))
        ready = prepare(model, rows.texts, rows.words, made.how)
        made.notes += made.losses(ready, rows)
        aims = aims_of(made, ready, rows, None if how.teacher is None else _taught(how.teacher, made, ready, rows))
        held = Held(made, held_rows) if len(held_rows) else None
        made.record = fit_rows(
            model, aims.lengths, aims.make, loss_of(made, aims, how), how, seed=seed,
            evaluate=None if held is None else held.score, progress=progress, work=work,
        )  # fmt: skip
        made.notes += made.record.notes
        if held is not None:
            held.calibrate()
        return made

    def open(self, folder: Path) -> Tagger:
        return Tagger.open(folder)


def _taught(folder: str, made: Tagger, ready: Prepared, rows: Tagged) -> list[npt.NDArray[np.float64]]:
    """What the teacher says of every unit."""
    teacher = Tagger.open(Path(folder))
    check_teacher(teacher, made.names, made.kind, folder)
    theirs = prepare(teacher.model, rows.texts, rows.words, teacher.how)
    return wisdom_of(teacher, theirs, made.names, ready, token_logits(teacher.model, theirs.windows.encoding))
