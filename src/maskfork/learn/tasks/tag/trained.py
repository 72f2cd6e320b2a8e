"""A tagger: a model with a label for every token, and how it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.common.tokenwise import FloatArray, token_logits
from maskfork.learn.tasks.common.words import Place, words_of
from maskfork.learn.tasks.tag.answers import Found, find_labels, find_spans
from maskfork.learn.tasks.tag.decode import Rules
from maskfork.learn.tasks.tag.examples import Kind, Tagged, joined
from maskfork.learn.tasks.tag.prepare import Prepared, Reading, prepare, rest_of, unit_logits
from maskfork.learn.tasks.tag.reading import words_cell
from maskfork.learn.tasks.tag.scoring import span_scores_of, word_scores_of
from maskfork.learn.tasks.tag.units import unreachable
from maskfork.learn.train.run import Record
from maskfork.models.about import describe, said_of
from maskfork.models.device import best_device
from maskfork.models.encode import limit_of
from maskfork.models.model import Model
from maskfork.models.runtimes.exported import open_model


@dataclass
class Tagger(Trained):
    """`kind` "spans": stretches with a label; "words": a label for every word. `scheme` None: a foreign folder's, not known."""

    task: ClassVar[str] = "tag"
    model: Model
    kind: Kind
    how: Reading = field(default_factory=Reading)
    scheme: str | None = "IOB2"
    record: Record | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, ...]:
        """What is said of a token, in the order of the logits."""
        return self.model.label_names

    @property
    def bound(self) -> bool:
        """Whether an I- may only go on a span of its own label."""
        return self.kind == "spans" and self.scheme == "IOB2"

    @staticmethod
    def open(folder: str | Path) -> Tagger:
        """A folder saved by `save`, or any token classifier in the Hugging Face layout. Raises ModelError."""
        model = open_model(folder).to(best_device())
        if model.spec.head is None or model.spec.head.kind != "tag":
            raise ModelError(f"{folder} is no tagger: train one with `maskfork train tag`, or give a folder saved as one.")
        said = said_of(model.folder or Path(folder))
        if "labels_of" in said:
            return Tagger(model, said["labels_of"], Reading(**said["reading"]), said["scheme"], notes=list(said.get("notes", [])))
        marked = [name for name in model.label_names if name != "O"]
        spans = bool(marked) and all(name[:1] in "BIESLU" and name[1:2] == "-" for name in marked)
        note = "the folder does not say its scheme: a span begins wherever a tag cannot go on the one before"
        return Tagger(model, "spans" if spans else "words", scheme=None, notes=[note] if spans else [])

    def save(self, folder: Path) -> Path:
        self.model.save(folder)
        describe(folder, {"kind": self.task, **self.about(), "notes": self.notes})
        return folder

    def about(self) -> dict[str, Any]:
        """What maskfork.json says of how it reads."""
        return {"labels_of": self.kind, "scheme": self.scheme, "reading": asdict(self.how)}

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Of a row with `text`, or with `tokens` (a list of words): its spans {start, end, label, text, score}, characters.

        Of tokens the answer has the `text` that they make with blanks between, and a tag for each. `words_unseen` words have no
        token or were cut off.
        """
        given = [given_text(row, number) for number, row in enumerate(rows, 1)]
        texts, words = [text for text, _, _ in given], [places for _, places, _ in given]
        prepared = prepare(self.model, texts, words, self.how)
        found = self.find(prepared, words)
        answers: list[Answer] = []
        for i, (text, places, cut) in enumerate(given):
            spans = [{**f._asdict(), "text": text[f.start : f.end]} for f in found[i]]
            answer: Answer = {"spans": spans, "tokens_lost": prepared.windows.lost[i], "words_unseen": unseen(prepared, i)}
            answers.append({**answer, "text": text, "tags": self.tags(places, found[i])} if cut else answer)
        return answers

    def logits(self, prepared: Prepared, rows: Sequence[FloatArray] | None = None) -> list[npt.NDArray[np.float64]]:
        """Logits [U, C] of each text's units, NaN where a unit is not read; `rows`: the windows' logits, where they are known."""
        rows = token_logits(self.model, prepared.windows.encoding) if rows is None else rows
        return unit_logits(rows, prepared, rest_of(self.names, bound=self.bound), self.how.label_on)

    def find(
        self, prepared: Prepared, words: Sequence[Sequence[Place]], rows: Sequence[FloatArray] | None = None
    ) -> list[list[Found]]:
        """Spans of each text, or the labels of its words; `rows` as in `logits`."""
        logits = self.logits(prepared, rows)
        if self.kind == "words":
            return find_labels(logits, prepared.units, words, self.names)
        return find_spans(logits, prepared.units, Rules(self.names, bound=self.bound))

    def tags(self, words: Sequence[Place], found: Sequence[Found]) -> list[str | None]:
        """A tag for every word: IOB2 for spans; the label, None for a word that was not read, for words."""
        starts = {f.start: f for f in found}
        if self.kind == "words":
            return [starts[a].label if a in starts else None for a, _ in words]
        tags: list[str | None] = []
        for start, end in words:
            own = next((f for f in found if f.start < end and start < f.end), None)
            tags.append("O" if own is None else f"{'B' if own.start == start else 'I'}-{own.label}")
        return tags

    def evaluate(self, examples: Tagged) -> Scores:
        """Strict F1 of spans (exact ends and label), or accuracy of words, over texts."""
        prepared = prepare(self.model, examples.texts, examples.words, self.how)
        found = [[f.span for f in row] for row in self.find(prepared, examples.words)]
        notes = self.losses(prepared, examples)
        score = span_scores_of if self.kind == "spans" else word_scores_of
        return score(examples.spans, found, notes)

    def losses(self, prepared: Prepared, examples: Tagged) -> list[str]:
        """What no answer could get right, and what was cut, as sentences."""
        notes = []
        cut = prepared.windows.note(self.how.on_long, limit_of(self.model, self.how.limit) or 0)
        if cut is not None:
            notes.append(cut)
        dumb = sum(unseen(prepared, i) for i in range(len(examples)))
        if dumb:
            notes.append(f"{dumb:,} words have no token or were cut off: nothing is said of them")
        hard = sum(unreachable(u, s) for u, s in zip(prepared.units, examples.spans, strict=True)) if self.kind == "spans" else 0
        if hard:
            notes.append(f"{hard:,} spans begin or end inside a word: the whole word is labelled, and they count as missed")
        return notes


def unseen(prepared: Prepared, text: int) -> int:
    """Words of no unit, or of one that no window holds."""
    word, place = prepared.units[text].word, prepared.place[text]
    return int((word < 0).sum() + (place[word[word >= 0]] < 0).sum())


def given_text(row: Mapping[str, Any], number: int) -> tuple[str, tuple[Place, ...], bool]:
    """(text, places of its words, whether it came as words)"""
    if row.get("tokens") is not None:
        cell = row["tokens"]
        words = [str(w) for w in cell] if isinstance(cell, list | tuple | np.ndarray) else words_cell(cell)
        return *joined(words), True
    if isinstance(row.get("text"), str):
        return row["text"], tuple(words_of(row["text"])), False
    raise DataError(f"row {number} has no text and no tokens: give one of them.")
