"""Answers that are written out: one, the likeliest, or several that are drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from maskfork.models.model import Model
from maskfork.prompt.ask.asker import Moved
from maskfork.prompt.generate.constraints import Rule
from maskfork.prompt.generate.texts import Text, write_texts
from maskfork.prompt.prompts import Choose, Prompts
from maskfork.prompt.tasks.how import How
from maskfork.prompt.templates import Shot, Template
from maskfork.prompt.wording import Wording


class Writer:
    """`shots` are solved as they are to be written. `length`: tokens of an answer at most; `form`: what each must be."""

    def __init__(
        self,
        model: Model,
        template: Template,
        opening: str,
        shots: Sequence[Shot],
        how: How,
        *,
        length: int,
        form: Rule | None = None,
        stop: Sequence[str] = (),
        choose: Choose | None = None,
    ) -> None:
        self.model, self.how, self.form, self.stop = model, how, form, tuple(stop)
        self.notes: list[str] = []
        limit = model.longest
        self.length = length if limit is None else min(length, limit // 2)
        if self.length < length:
            self.notes.append(f"answers are cut at {self.length} tokens, not {length}: half of the decoder's context of {limit}")
        self.prompts = Prompts(Wording(model, template, opening), shots, answer=self.length, choose=choose)
        self.notes += self.prompts.notes

    def write(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None
    ) -> tuple[list[list[Text]], list[int]]:
        """The answers of each text, one or `samples`, and how many of its tokens were not read."""
        whole = self.prompts.of(texts, pairs)
        cut = [self.prompts.cut(ids) for ids in whole]
        end = self.model.spec.eos_id
        if self.model.spec.fork == "encoder-decoder" and isinstance(end, int):
            cut = [[*ids, end] for ids in cut]
        drawn: dict[str, Any] = {"do_sample": True, "temperature": self.how.temperature, "top_k": 0, "seed": self.how.seed}
        found, notes = write_texts(
            self.model, cut, moved=moved, logprobs=True, form=self.form, max_new_tokens=self.length,
            num_return_sequences=max(1, self.how.samples), stop_strings=self.stop, **(drawn if self.how.samples else {}),
        )  # fmt: skip
        self.notes += [note for note in notes if note not in self.notes]
        out: list[list[Text]] = [[] for _ in texts]
        for text in found:
            out[text.prompt].append(text)
        room = self.prompts.room
        return out, [0 if room is None else max(0, len(ids) - room) for ids in whole]


def sureness(text: Text) -> float:
    """How sure the model was of what it wrote: the geometric mean of its tokens' probabilities."""
    return 0.0 if text.logprob is None or not text.tokens else math.exp(text.logprob / text.tokens)
