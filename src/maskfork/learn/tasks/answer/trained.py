"""A model that answers questions on a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.answer.examples import Questions
from maskfork.learn.tasks.answer.spans import Ranked, rank
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.common.tokenwise import token_logits
from maskfork.learn.tasks.common.windows import PlacedWindows, cut
from maskfork.learn.train.run import Record
from maskfork.measure.bootstrap import bootstrap_interval, share
from maskfork.measure.squad import AnswerScore, score_answer
from maskfork.models.about import describe, said_of
from maskfork.models.device import best_device
from maskfork.models.encode import OnLong, limit_of
from maskfork.models.model import Model
from maskfork.models.runtimes.exported import open_model


@dataclass(frozen=True)
class Reading:
    """How a context is read: `limit` tokens a window, `stride` of them shared; `n_best` answers of up to `max_answer` tokens."""

    limit: int | None = 384
    on_long: OnLong = "chunk"
    stride: int = 128
    max_answer: int = 30
    n_best: int = 5


@dataclass
class Answerer(Trained):
    """`threshold`: a question is left without an answer where the logit of none is more than this above the best span's; None:
    the model has always an answer.
    """

    task: ClassVar[str] = "answer"
    model: Model
    how: Reading = field(default_factory=Reading)
    threshold: float | None = None
    record: Record | None = None
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(folder: str | Path) -> Answerer:
        """A folder saved by `save`, or any question answerer in the Hugging Face layout. Raises ModelError."""
        model = open_model(folder).to(best_device())
        if model.spec.head is None or model.spec.head.kind != "span":
            raise ModelError(f"{folder} answers no questions: train it with `maskfork train answer`, or give a folder saved so.")
        said = said_of(model.folder or Path(folder))
        if said.get("kind") == Answerer.task:
            return Answerer(model, Reading(**said["reading"]), said["threshold"], notes=list(said.get("notes", [])))
        return Answerer(model, notes=["the folder does not say when there is no answer: one is always given"])

    def save(self, folder: Path) -> Path:
        self.model.save(folder)
        describe(folder, {"kind": self.task, "reading": asdict(self.how), "threshold": self.threshold, "notes": self.notes})
        return folder

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Of a row with `question` and `context`: the best `text`, its `start` and `end` in the context and its `score`, and the
        n best `answers`; an empty text, start and end None, where there is none. Scores are shares among these (and none).
        """
        for number, row in enumerate(rows, 1):
            if not isinstance(row.get("question"), str) or not isinstance(row.get("context"), str):
                raise DataError(f"row {number} lacks a question or a context: give both.")
        contexts = [row["context"] for row in rows]
        windows = self.windows([row["question"] for row in rows], contexts)
        found = self.ranked(windows, contexts)
        return [self._answer(c, r, lost) for c, r, lost in zip(contexts, found, windows.lost, strict=True)]

    def windows(self, questions: Sequence[str], contexts: Sequence[str]) -> PlacedWindows:
        return cut(
            self.model, questions, contexts, limit=self.how.limit, on_long=self.how.on_long, stride=self.how.stride
        )  # fmt: skip

    def ranked(self, windows: PlacedWindows, contexts: Sequence[str]) -> list[Ranked]:
        logits = token_logits(self.model, windows.encoding)
        return rank(windows, logits, contexts, self.how.max_answer, self.how.n_best)

    def is_none(self, found: Ranked) -> bool:
        """Whether the question is left without an answer."""
        return not found.spans or (self.threshold is not None and found.gap > self.threshold)

    def _answer(self, context: str, found: Ranked, lost: int) -> Answer:
        logits = np.array([c.logit for c in found.spans] + ([found.null] if self.threshold is not None else []), dtype=np.float64)
        if not len(logits):
            return {"text": "", "start": None, "end": None, "score": 1.0, "answers": [], "tokens_lost": lost}
        weights = np.exp(logits - logits.max())
        scores = (weights / weights.sum()).tolist()
        answers: list[dict[str, Any]] = [
            {"text": context[c.start : c.end], "start": c.start, "end": c.end, "score": score}
            for c, score in zip(found.spans, scores, strict=False)
        ]
        if self.is_none(found):
            nothing = scores[-1] if self.threshold is not None else 1.0
            return {"text": "", "start": None, "end": None, "score": nothing, "answers": answers, "tokens_lost": lost}
        return {**answers[0], "answers": answers, "tokens_lost": lost}

    def evaluate(self, examples: Questions) -> Scores:
        """Exact match and F1 by SQuAD's definition, contexts drawn again with all their questions."""
        windows = self.windows(examples.questions, examples.contexts)
        found = self.ranked(windows, examples.contexts)
        said = [
            "" if self.is_none(r) else c[r.spans[0].start : r.spans[0].end] for c, r in zip(examples.contexts, found, strict=True)
        ]
        each = [
            score_answer(text, gold, with_no_answer=examples.with_no_answer)
            for text, gold in zip(said, examples.gold(), strict=True)
        ]
        note = windows.note(self.how.on_long, limit_of(self.model, self.how.limit) or 0)
        return answer_scores(each, examples.contexts, () if note is None else (note,))


def answer_scores(each: Sequence[AnswerScore], contexts: Sequence[str], notes: Sequence[str] = ()) -> Scores:
    """F1 and exact match with intervals; where some questions have no answer, each kind's F1 too."""
    numbers: dict[str, int] = {}
    group = np.array([numbers.setdefault(context, len(numbers)) for context in contexts])
    chosen = {"": np.ones(len(each), dtype=bool)}
    having = np.array([one.has_answer for one in each])
    if not having.all():
        chosen |= {"_with_answer": having, "_without_answer": ~having}
    values = {}
    for suffix, mask in chosen.items():
        for name in ("f1", "exact") if not suffix else ("f1",):
            if mask.any():
                counts = np.zeros((len(numbers), 2))
                np.add.at(counts, group[mask], [[getattr(one, name), 1.0] for one, yes in zip(each, mask, strict=True) if yes])
                values[name + suffix] = bootstrap_interval(counts[counts[:, 1] > 0], share)
    return Scores("f1", values, len(each), tuple(notes))
