"""A decoder that was taught to answer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.instruct.examples import Lessons, Pair, Talk
from maskfork.learn.tasks.instruct.learning import loss_on, packed_of, right_tokens
from maskfork.learn.tasks.instruct.settings import InstructSettings
from maskfork.learn.tasks.instruct.words import prompt_ids
from maskfork.learn.train.run import Record
from maskfork.measure.means import mean_interval
from maskfork.models.about import describe, said_of
from maskfork.models.model import Model
from maskfork.models.runtimes.writer import open_writer
from maskfork.prompt.generate import write_texts


@dataclass
class Assistant(Trained):
    """Answers in the words of its chat template, which is in its tokenizer's folder."""

    task: ClassVar[str] = "instruct"
    model: Model
    answers: int = 100
    record: Record | None = None
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(folder: str | Path) -> Assistant:
        """A folder saved by `save`, or any decoder that writes. Raises ModelError."""
        model = open_writer(folder)
        if model.spec.fork != "decoder" or model.spec.head is None or model.spec.head.kind != "causal_lm":
            raise ModelError(f"{folder} is no decoder that writes: train one with `maskfork train instruct`.")
        said = said_of(model.folder or Path(folder))
        return Assistant(model, answers=int(said.get("answers", 100)), notes=list(said.get("notes", [])))

    def save(self, folder: Path) -> Path:
        self.model.save(folder)
        describe(folder, {"kind": self.task, "answers": self.answers, "notes": self.notes})
        return folder

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Of a row with `messages` (the last from the user) or a `prompt` (or `text`): the `text` that follows."""
        asked = [self.asked(row, number) for number, row in enumerate(rows, 1)]
        return [{"text": t, "tokens_lost": 0} for t in self._answered(asked)]

    def evaluate(self, examples: Lessons) -> Scores:
        """Perplexity and right tokens of the answers (given the true words before), and answers that are the same in full."""
        packed, notes = packed_of(self.model, examples.rows, InstructSettings())
        self.model.eval()
        nats = loss_on(self.model, packed)
        values = {"token_accuracy": mean_interval(right_tokens(self.model, packed))}
        shown = examples.take(range(min(self.answers, len(examples))))
        more: dict[str, Any] = {"perplexity": math.exp(min(nats, 50.0)), "nats_a_token": nats}
        if len(shown):
            wrote = self._answered([prompt_ids(self.model, row) for row in shown.rows])
            wanted = [row.completion if isinstance(row, Pair) else str(row[-1]["content"]) for row in shown.rows]
            values["exact"] = mean_interval([float(a.strip() == b.strip()) for a, b in zip(wrote, wanted, strict=True)])
            more["examples"] = [{"wanted": b, "written": a} for a, b in zip(wrote[:5], wanted, strict=False)]
            if len(shown) < len(examples):
                notes.append(f"exact is of the first {len(shown):,} of {len(examples):,} rows")
        return Scores(
            "token_accuracy", values, len(examples), (*notes, f"perplexity of the answers: {more['perplexity']:.2f}"), more
        )

    def _answered(self, prompts: list[list[int]]) -> list[str]:
        return [t.text.strip() for t in write_texts(self.model, prompts)[0]]

    def asked(self, row: Mapping[str, Any], number: int) -> list[int]:
        """The tokens of a row that asks: what is before the answer. Raises DataError."""
        prompt = row.get("prompt", row.get("text"))
        if isinstance(prompt, str) and prompt.strip():
            return prompt_ids(self.model, Pair(prompt, "."))
        messages = row.get("messages")
        if not isinstance(messages, list) or not messages:
            raise DataError(f"row {number} asks nothing: give it messages or a prompt")
        talk: Talk = (*messages, {"role": "assistant", "content": "."})
        return prompt_ids(self.model, talk)
