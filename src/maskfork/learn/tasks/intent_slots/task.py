"""The task: files, training, and the folder that comes out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks.common.contract import Progress, Sources, Split, Task
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.hold import divided, each, with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.intent_slots.commands import ROLES, Commands, read_commands
from maskfork.learn.tasks.intent_slots.joint import Joint, Understander
from maskfork.learn.tasks.tag.examples import tag_names
from maskfork.learn.tasks.tag.prepare import Prepared, Reading, prepare
from maskfork.learn.tasks.tag.settings import TagSettings
from maskfork.learn.tasks.tag.teach import check_teacher, token_loss, wisdom_of
from maskfork.learn.tasks.tag.trained import Tagger
from maskfork.learn.tasks.tag.training import TagBatch, aims_of, weights_of
from maskfork.models.device import best_device
from maskfork.models.hub import load


class IntentSlotsTask(Task[Commands]):
    """What a command wants, and with what."""

    name = "intent-slots"
    about = "the intent of a command and its slots, by one model"
    roles = ROLES
    settings = TagSettings

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Commands]:
        """Tables of words, slots and intents, or folders with seq.in, seq.out and label."""
        parts, notes = each(sources, lambda path: read_commands(path, sources.columns))
        return divided(parts, lambda rows: rows.tagged.texts, sources, notes)

    def train(
        self,
        base: str | Path,
        split: Split[Commands],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Understander:
        """Both heads at once, the sum of their losses; the best epoch by commands that are wholly right. Raises DataError."""
        how = TagSettings.of(settings)
        rows, held_rows = with_validation(split, lambda r: r.tagged.texts, how, seed)
        intents = tuple(sorted(set(split.train.intents)))
        if len(intents) < 2:
            raise DataError("training needs two intents at least: give more rows, or train tag for the slots alone.")
        names = tag_names("spans", split.train.tagged.label_names())
        model = load(base, "tag", labels=names, seed=seed).to(best_device())
        how = within(model, how)
        tagger = Tagger(model, "spans", Reading(how.max_length, how.on_long, how.stride, how.label_on))
        made = Understander(Joint(model, len(intents), seed), tagger, intents)
        ready = prepare(model, rows.tagged.texts, rows.tagged.words, tagger.how)
        made.notes += tagger.losses(ready, rows.tagged)
        wisdom, wise_intents = (None, None) if how.teacher is None else _taught(how.teacher, made, ready, rows)
        aims = aims_of(tagger, ready, rows.tagged, wisdom)
        weights = weights_of(tagger, aims, how)
        wanted = torch.tensor([intents.index(rows.intents[text]) for text in ready.windows.text[aims.window].tolist()])

        texts = torch.from_numpy(ready.windows.text[aims.window])

        def make(chosen: np.ndarray) -> tuple[TagBatch, Tensor]:
            return aims.make(chosen), torch.from_numpy(chosen)

        def loss(module: nn.Module, batch: tuple[TagBatch, Tensor]) -> Tensor:
            (tokens, places, classes, wise), windows = batch
            device = model.device
            slots, said = module(tokens.to(device))
            wise = None if wise is None else wise.to(device)
            of_slots = token_loss(slots[places.to(device)], classes.to(device), wise, weights, how)
            known = None if wise_intents is None else wise_intents[texts[windows]].to(device)
            return of_slots + token_loss(said, wanted[windows].to(device), known, None, how)

        def evaluate(module: nn.Module) -> tuple[float, float]:
            values = made.evaluate(held_rows).values
            return values["exact"].value, values["slot_f1"].value

        made.record = fit_rows(
            made.joint, aims.lengths, make, loss, how, seed=seed,
            evaluate=evaluate if len(held_rows) else None, progress=progress, work=work,
        )  # fmt: skip
        made.notes += made.record.notes
        return made

    def open(self, folder: Path) -> Understander:
        return Understander.open(folder)


def _taught(
    folder: str, made: Understander, ready: Prepared, rows: Commands
) -> tuple[list[npt.NDArray[np.float64]], Tensor]:  # fmt: skip
    """What the teacher says of every word, and of every command's intent: logarithms of probabilities [N, I]."""
    teacher = Understander.open(Path(folder))
    check_teacher(teacher.tagger, made.tagger.names, "spans", folder)
    if set(teacher.intents) != set(made.intents):
        raise UsageError(f"the teacher {folder} knows other intents than the rows: take one that was trained on the same")
    theirs = prepare(teacher.tagger.model, rows.tagged.texts, rows.tagged.words, teacher.tagger.how)
    read, probs_NI = teacher.heard(theirs)
    order = [teacher.intents.index(name) for name in made.intents]
    logs = torch.from_numpy(np.log(np.maximum(probs_NI[:, order], 1e-12))).float()
    return wisdom_of(teacher.tagger, theirs, made.tagger.names, ready, read), logs
