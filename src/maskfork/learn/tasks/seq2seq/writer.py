"""A trained writer: an encoder-decoder, the words before a source, and how it follows lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.seq2seq.examples import Rewritten
from maskfork.learn.train.run import Record
from maskfork.measure.writing import writing_scores
from maskfork.models.about import describe, said_of
from maskfork.models.device import best_device
from maskfork.models.encode import OnLong
from maskfork.models.hub import load
from maskfork.models.model import Model
from maskfork.prompt.generate import Text, write_texts


@dataclass
class Writer(Trained):
    """Its settings for writing are in the folder's generation_config.json, the words before a source in config.json."""

    task: ClassVar[str] = "seq2seq"
    model: Model
    metric: str = "bleu"
    max_length: int | None = None
    on_long: OnLong = "truncate"
    record: Record | None = None
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(folder: str | Path) -> Writer:
        """A folder saved by `save`, or any encoder-decoder that writes. Raises ModelError."""
        model = load(folder).to(best_device())
        if model.spec.fork != "encoder-decoder" or model.spec.head is None or model.spec.head.kind != "causal_lm":
            raise ModelError(f"{folder} is no encoder-decoder that writes: train one with `maskfork train seq2seq`.")
        said = said_of(model.folder or Path(folder))
        known = {name: said[name] for name in ("metric", "max_length", "on_long") if name in said}
        return Writer(model, **known, notes=list(said.get("notes", [])))

    @property
    def prefix(self) -> str:
        return str(self.model.config.get("prefix") or "")

    def save(self, folder: Path) -> Path:
        self.model.save(folder)
        about = {"metric": self.metric, "max_length": self.max_length, "on_long": self.on_long, "notes": self.notes}
        describe(folder, {"kind": self.task, **about})
        return folder

    def write(self, sources: Sequence[str], **settings: Any) -> list[Text]:
        """One text a source."""
        texts, _ = write_texts(
            self.model, [self.prefix + s for s in sources], limit=self.max_length, on_long=self.on_long, **settings
        )
        return texts

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """Of a row with `source` (or `text`): the `text` that is written, its beam `score`, why it ended."""
        sources = []
        for number, row in enumerate(rows, 1):
            source = row.get("source", row.get("text"))
            if not isinstance(source, str) or not source.strip():
                raise DataError(f"row {number} has no source: give it a text")
            sources.append(source)
        answers: list[Answer] = []
        for text in self.write(sources):
            answer: Answer = {"text": text.text, "reason": text.reason, "tokens_lost": text.tokens_lost}
            answers.append(answer if text.score is None else {**answer, "score": text.score})
        return answers

    def evaluate(self, examples: Rewritten) -> Scores:
        """BLEU, chrF, ROUGE and exact matches of what is written."""
        texts = self.write(examples.sources)
        values = writing_scores([text.text for text in texts], examples.targets)
        ordered = {self.metric: values[self.metric], **values}
        cut, unended = sum(t.tokens_lost > 0 for t in texts), sum(t.reason == "length" for t in texts)
        notes = [f"{cut:,} of {len(texts):,} sources were cut at their end"] if cut else []
        if unended:
            notes.append(f"{unended:,} of {len(texts):,} texts came to the most tokens allowed before their end")
        shown = [
            {"source": s, "targets": list(t), "written": w.text}
            for s, t, w in zip(examples.sources[:5], examples.targets, texts, strict=False)
        ]
        return Scores(self.metric, ordered, len(texts), tuple(notes), {"examples": shown})
