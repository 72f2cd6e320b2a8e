"""The task: files, training, and the folder that comes out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.learn.tasks.common.contract import Progress, Sources, Split, Task
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.hold import divided, each, with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.common.teach import writing_teacher
from maskfork.learn.tasks.seq2seq.examples import Rewritten
from maskfork.learn.tasks.seq2seq.learning import Lesson, lesson_of, loss_of, taught_loss
from maskfork.learn.tasks.seq2seq.reading import ROLES, read_rewritten
from maskfork.learn.tasks.seq2seq.settings import Seq2SeqSettings
from maskfork.learn.tasks.seq2seq.writer import Writer
from maskfork.models.packing import by_tokens
from maskfork.prompt.rewrite import open_writer

#: tokens that a text may be longer than the longest target seen
SPARE = 8


class Seq2SeqTask(Task[Rewritten]):
    """Translation, summaries, texts from data: an encoder-decoder rewrites a text."""

    name = "seq2seq"
    about = "translate, summarise, put data into words: a text becomes another"
    roles = ROLES
    settings = Seq2SeqSettings
    base: ClassVar[str | None] = None
    such_as = "google-t5/t5-small"

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Rewritten]:
        """Columns of sources and targets, or two files of lines."""
        parts, notes = each(sources, lambda path: read_rewritten(path, sources.columns))
        return divided(parts, lambda rows: rows.sources, sources, notes)

    def train(
        self,
        base: str | Path,
        split: Split[Rewritten],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Writer:
        """All weights of `base`, its best epoch by the loss on validation rows. Raises DataError, UsageError."""
        how = Seq2SeqSettings.of(settings)
        model = open_writer(base, "rewrite texts")
        how = within(model, how)
        rows, held = with_validation(split, lambda r: r.sources, how, seed)
        lesson, notes = lesson_of(model, *rows.pairs(), how)
        made = Writer(model, how.metric, how.max_length, how.on_long, notes=notes)
        loss = loss_of(model, how)
        aim = loss if how.teacher is None else taught_loss(model, writing_teacher(how.teacher, model), how)
        checked = lesson_of(model, *held.pairs(), how)[0] if len(held) else None
        made.record = fit_rows(
            model, lesson.lengths, lesson.make, aim, how, seed=seed, 
            evaluate=None if checked is None else lambda module: (-_loss_on(module, checked, loss), 0.0),
            progress=progress, work=work,
        )  # fmt: skip
        made.notes += made.record.notes
        model.eval()
        longest = max(map(len, lesson.says)) + SPARE
        model.generation_config = {
            **{k: v for k, v in model.generation_config.items() if k not in ("max_length", "min_length", "forced_eos_token_id")},
            "num_beams": how.beams, "length_penalty": how.length_penalty, "max_new_tokens": how.max_target or longest,
        }  # fmt: skip
        if how.prefix:
            model.config["prefix"] = how.prefix
        return made

    def open(self, folder: Path) -> Writer:
        return Writer.open(folder)


def _loss_on(module: nn.Module, lesson: Lesson, loss: Callable[[nn.Module, tuple[Batch, Batch, Tensor]], Tensor]) -> float:
    """Nats a token of the targets."""
    total, tokens = 0.0, 0
    with torch.inference_mode():
        for rows in by_tokens(lesson.lengths, 4096):
            count = sum(len(lesson.says[i]) for i in rows.tolist())
            total += float(loss(module, lesson.make(rows))) * count
            tokens += count
    return total / max(1, tokens)
