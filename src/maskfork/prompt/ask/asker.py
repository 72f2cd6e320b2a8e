"""What all ways of asking have in common: the decoder, its template, the examples."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from maskfork.models.digest import digest
from maskfork.models.model import Model
from maskfork.models.sentence.encoder import load_sentence_encoder
from maskfork.prompt.chat import template_of as chat_template_of
from maskfork.prompt.prompts import Choose
from maskfork.prompt.score import PromptedClassifier, load_decoder
from maskfork.prompt.shots.nearest import Nearest, joined
from maskfork.prompt.shots.select import Embed, select
from maskfork.prompt.tasks.description import Example, TaskDescription
from maskfork.prompt.templates import CHAT, DESCRIBED, TASK, Template

#: hears how many prompts are done
Moved = Callable[[int], None]


class Asker(ABC):
    """Answers one task. `notes` says what does not fit, and what could not be read."""

    def __init__(self, task: TaskDescription) -> None:
        self.task = task
        self.notes: list[str] = []

    @property
    def rounds(self) -> int:
        """How many prompts a text takes."""
        return 1

    @abstractmethod
    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        """An answer for each text, with its `confidence` in [0, 1] (None: nothing tells) and `tokens_lost`, those of the text
        that were not read."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Plain values that decide the answers, beside the task."""


class DecoderAsker(Asker):
    """Asks a decoder that is here."""

    def __init__(self, decoder: str | Path | Model, task: TaskDescription) -> None:
        super().__init__(task)
        self.model = decoder if isinstance(decoder, Model) else load_decoder(decoder)

    def identity(self) -> Mapping[str, Any]:
        return {"digest": None if self.model.folder is None else digest(self.model.folder)}


def template_for(model: Model, task: TaskDescription) -> Template:
    """The task's own template; else the model's chat template where it has one, and plain words where not."""
    if task.how.template is not None:
        return task.how.template
    if model.has_tokenizer and chat_template_of(model.tokenizer) is not None:
        return CHAT
    return DESCRIBED if any(label.description for label in task.labels) else TASK


def examples_of(task: TaskDescription) -> tuple[list[Example], Choose | None]:
    """The examples that stand in every prompt, or all of them and who chooses each text's own."""
    how, pool = task.how, list(task.examples)
    count = len(pool) if how.shots is None else how.shots
    embed = None if how.encoder is None or how.select not in ("nearest", "diverse") else embedder(how.encoder)
    texts, pairs = [one.text for one in pool], [one.pair for one in pool]
    if how.select == "nearest" and embed is not None:
        return pool, Nearest(texts, count, embed, pairs)
    kinds: list[Hashable] = [one.answer if isinstance(one.answer, str) else str(one.answer) for one in pool]
    chosen = select(joined(texts, pairs), kinds, count, how.select, seed=how.seed, embed=embed)
    return [pool[i] for i in chosen], None


def embedder(where: str) -> Embed:
    """Vectors of length one by an encoder."""
    encoder = load_sentence_encoder(where)

    def embed(texts: Sequence[str]) -> np.ndarray:
        return encoder.encode(list(texts), normalize=True)

    return embed


def classifier_of(decoder: str | Path | Model, task: TaskDescription) -> PromptedClassifier:
    """The task of one label as a classifier by likelihood, with its template, examples, orders and calibration."""
    model = decoder if isinstance(decoder, Model) else load_decoder(decoder)
    examples, choose = examples_of(task)
    names = task.label_names
    return PromptedClassifier(
        model,
        names,
        [(one.text, one.pair, names.index(str(one.answer))) for one in examples],
        template=template_for(model, task),
        label_words=task.label_words,
        calibrate=task.how.calibrate,
        what=task.what,
        descriptions=[label.description for label in task.labels],
        orders=task.how.orders,
        seed=task.how.seed,
        choose=choose,
    )
