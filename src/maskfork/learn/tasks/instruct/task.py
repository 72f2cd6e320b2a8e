"""The task: files, training, and the folder that comes out."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from torch import nn

from maskfork.errors import UsageError
from maskfork.learn.tasks.common.contract import Progress, Sources, Split, Task
from maskfork.learn.tasks.common.fitting import fit_rows, within
from maskfork.learn.tasks.common.hold import divided, each, with_validation
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.common.teach import writing_teacher
from maskfork.learn.tasks.instruct.assistant import Assistant
from maskfork.learn.tasks.instruct.examples import Lessons, Pair
from maskfork.learn.tasks.instruct.learning import loss, loss_on, packed_of, taught_loss
from maskfork.learn.tasks.instruct.reading import ROLES, read_lessons
from maskfork.learn.tasks.instruct.settings import InstructSettings
from maskfork.learn.tasks.instruct.words import TAUGHT
from maskfork.models.device import best_device
from maskfork.models.hub import load
from maskfork.models.model import check_head
from maskfork.prompt.chat import template_of


class InstructTask(Task[Lessons]):
    """A decoder learns what to answer; what is asked is read and not learnt."""

    name = "instruct"
    about = "teach a decoder to answer: talks in its chat template, or prompts and completions"
    roles = ROLES
    settings = InstructSettings
    base: ClassVar[str | None] = "books-gpt-3m"

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Lessons]:
        """A column of messages, or columns of prompts and completions."""
        parts, notes = each(sources, lambda path: read_lessons(path, sources.columns))
        return divided(parts, lambda rows: rows.keys(), sources, notes)

    def train(
        self,
        base: str | Path,
        split: Split[Lessons],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Assistant:
        """All weights of `base`, or an adapter; its best epoch by the loss of held-back answers. Raises DataError, UsageError."""
        how = InstructSettings.of(settings)
        model = load(base).to(best_device())
        if model.spec.fork != "decoder":
            cure = "give a decoder (gpt2, llama, ...), or train seq2seq with an encoder-decoder"
            raise UsageError(f"{model.spec.family} is no lone decoder, so it is not taught to answer: {cure}")
        check_head(model.spec, "causal_lm")
        how = within(model, how)
        made = Assistant(model, answers=how.answers)
        talks = not isinstance(split.train.rows[0], Pair)
        if talks and template_of(model.tokenizer) is None:
            model.tokenizer.config["chat_template"] = TAUGHT
            made.notes.append("the model has no chat template: messages are written as `role: words`, and so it is saved")
        rows, held = with_validation(split, lambda r: r.keys(), how, seed)
        packed, notes = packed_of(model, rows.rows, how)
        made.notes += notes
        checked = packed_of(model, held.rows, how)[0] if len(held) else None

        def evaluate(module: nn.Module) -> tuple[float, float]:
            return (0.0 if checked is None else -loss_on(module, checked)), 0.0

        aim = loss if how.teacher is None else taught_loss(writing_teacher(how.teacher, model), how)
        made.record = fit_rows(
            model, packed.lengths, packed.make, aim, how, seed=seed, evaluate=None if checked is None else evaluate,
            progress=progress, work=work,
        )  # fmt: skip
        made.notes += made.record.notes
        model.eval()
        kept = {name: value for name, value in model.generation_config.items() if name not in ("max_length", "min_length")}
        model.generation_config = {**kept, "max_new_tokens": how.max_new_tokens}
        return made

    def open(self, folder: Path) -> Assistant:
        return Assistant.open(folder)
