"""A trained chooser: every choice is read after its question, and the best score wins.

Legend: N questions, M sequences (a choice each).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.choose.examples import Question, Questions
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.train.run import Record
from maskfork.measure.intervals import wilson
from maskfork.models.about import describe, said_of
from maskfork.models.device import best_device
from maskfork.models.encode import Encoding, OnLong, encode
from maskfork.models.hub import load
from maskfork.models.model import Model
from maskfork.models.packing import by_tokens, make_batch


@dataclass(frozen=True)
class Read:
    """`encoding` has a row for every choice, those of question n from `starts[n]` to before `starts[n + 1]`."""

    encoding: Encoding
    starts: list[int]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each question's choices together, [N]."""
        own = self.encoding.lengths
        return [sum(own[a:b]) for a, b in zip(self.starts, self.starts[1:], strict=False)]

    @property
    def lost(self) -> list[int]:
        return [sum(self.encoding.lost[a:b]) for a, b in zip(self.starts, self.starts[1:], strict=False)]

    def batch(self, rows: np.ndarray) -> tuple[Batch, list[int]]:
        """All choices of these questions packed, and how many each has."""
        parts = [np.arange(self.starts[i], self.starts[i + 1]) for i in rows.tolist()]
        return make_batch(self.encoding, np.concatenate(parts)), [len(p) for p in parts]


def read(model: Model, rows: Sequence[Question], limit: int | None = None, on_long: OnLong = "truncate") -> Read:
    """Each choice as the second text after its question."""
    texts = [row.text for row in rows for _ in row.choices]
    encoding = encode(model, texts, [choice for row in rows for choice in row.choices], limit=limit, on_long=on_long)
    return Read(encoding, np.cumsum([0, *(len(row.choices) for row in rows)]).tolist())


def scores_of(module: Any, batch: Batch, counts: Sequence[int]) -> Tensor:
    """[n, most choices] float32; -inf where a question has no such choice."""
    flat = module(batch, choices=1).logits.view(-1).float()
    return torch.nn.utils.rnn.pad_sequence(list(flat.split(list(counts))), batch_first=True, padding_value=float("-inf"))


@dataclass
class Chooser(Trained):
    """An encoder with a score for a question and a choice."""

    task: ClassVar[str] = "choose"
    model: Model
    max_length: int | None = None
    on_long: OnLong = "truncate"
    record: Record | None = None
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(folder: str | Path) -> Chooser:
        """A folder saved by `save`, or any multiple choice model in the Hugging Face layout. Raises ModelError."""
        model = load(folder).to(best_device())
        if model.spec.head is None or model.spec.head.kind != "choice":
            raise ModelError(f"{folder} does not choose: train one with `maskfork train choose`.")
        said = said_of(model.folder or Path(folder))
        known = {name: said[name] for name in ("max_length", "on_long") if name in said}
        return Chooser(model, **known, notes=list(said.get("notes", [])))

    def save(self, folder: Path) -> Path:
        self.model.save(folder)
        about = {"max_length": self.max_length, "on_long": self.on_long, "notes": self.notes}
        describe(folder, {"kind": self.task, **about})
        return folder

    def probabilities(self, rows: Sequence[Question]) -> tuple[list[np.ndarray], list[int]]:
        """For each question its choices' probabilities, and how many tokens were not read."""
        self.model.eval()
        made = read(self.model, rows, self.max_length, self.on_long)
        out: list[np.ndarray] = [np.empty(0)] * len(rows)
        with torch.inference_mode():
            for part in by_tokens(made.lengths, 4096):
                batch, counts = made.batch(part)
                probs = scores_of(self.model, batch.to(self.model.device), counts).softmax(-1).cpu().numpy()
                for i, row, n in zip(part.tolist(), probs, counts, strict=True):
                    out[i] = row[:n]
        return out, made.lost

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Of a row with `question` (and `context`) and `choices`: the `answer`'s number, its words, all probabilities."""
        asked = []
        for number, row in enumerate(rows, 1):
            text, choices = row.get("question", row.get("text")), row.get("choices")
            if not isinstance(text, str) or not isinstance(choices, list) or len(choices) < 2:
                raise DataError(f"row {number} has no question with two choices or more: give both")
            asked.append(Question(f"{row.get('context') or ''} {text}".strip(), tuple(map(str, choices))))
        found, lost = self.probabilities(asked)
        return [
            {"answer": int(p.argmax()), "choice": q.choices[int(p.argmax())], "probabilities": [round(float(x), 6) for x in p],
             "tokens_lost": n}
            for q, p, n in zip(asked, found, lost, strict=True)
        ]  # fmt: skip

    def evaluate(self, examples: Questions) -> Scores:
        """Accuracy."""
        found, lost = self.probabilities(examples.rows)
        right = sum(int(p.argmax()) == q.answer for p, q in zip(found, examples.rows, strict=True))
        cut = sum(n > 0 for n in lost)
        notes = (f"{cut:,} of {len(lost):,} questions were cut to the model's limit ({sum(lost):,} tokens)",) if cut else ()
        return Scores("accuracy", {"accuracy": wilson(right, len(examples))}, len(examples), notes)
