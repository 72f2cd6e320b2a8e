"""A trained encoder: vectors, similarities, scores, its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.embed.examples import TextRows
from maskfork.learn.tasks.embed.score import evaluate
from maskfork.learn.train.run import Record
from maskfork.models.about import describe
from maskfork.models.sentence import SentenceEncoder


@dataclass
class TrainedEncoder(Trained):
    """`dims` are the shorter lengths that were trained for too."""

    encoder: SentenceEncoder
    dims: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)
    record: Record | None = None

    task: ClassVar[str] = "embed"

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The vector of `text`; of rows with an `anchor` and a `positive` their similarity."""
        if rows and "text" not in rows[0] and {"anchor", "positive"} <= rows[0].keys():
            return self._similarities([str(r["anchor"]) for r in rows], [str(r["positive"]) for r in rows])
        if any("text" not in row for row in rows):
            raise DataError("a row to embed holds a text, or an anchor and a positive to compare.")
        texts = [str(row["text"]) for row in rows]
        vectors, lost = self.encoder.encode(texts), self._lost(texts)
        return [{"vector": v.tolist(), "tokens_lost": n} for v, n in zip(vectors, lost, strict=True)]

    def _similarities(self, first: list[str], second: list[str]) -> list[Answer]:
        a, b = self.encoder.encode(first), self.encoder.encode(second)
        alike = self.encoder.similarity_pairwise(a, b)
        lost = [m + n for m, n in zip(self._lost(first), self._lost(second), strict=True)]
        return [{"similarity": float(s), "tokens_lost": n} for s, n in zip(alike, lost, strict=True)]

    def _lost(self, texts: list[str]) -> list[int]:
        return self.encoder.read(texts, prompt=self.encoder.prompt_of(None, None)).lost

    def evaluate(self, examples: TextRows) -> Scores:
        return evaluate(self.encoder, examples, self.dims)

    def save(self, folder: Path) -> Path:
        """A sentence-transformers folder, and maskfork.json."""
        folder = self.encoder.save(folder)
        describe(folder, {"kind": self.task, "dims": list(self.dims), "on_long": self.encoder.on_long})
        return folder
