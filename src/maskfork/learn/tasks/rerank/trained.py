"""A trained reranker: scores of pairs, its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.rerank.examples import RankRows
from maskfork.learn.tasks.rerank.score import evaluate
from maskfork.learn.train.run import Record
from maskfork.models.about import describe
from maskfork.models.sentence import CrossEncoder


@dataclass
class TrainedReranker(Trained):
    encoder: CrossEncoder
    notes: list[str] = field(default_factory=list)
    record: Record | None = None

    task: ClassVar[str] = "rerank"

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The score of each row's `query` and `document`, and how many of their tokens were not read."""
        if any("query" not in row or "document" not in row for row in rows):
            raise DataError("a row to score holds a query and a document.")
        queries, documents = [str(row["query"]) for row in rows], [str(row["document"]) for row in rows]
        scores = self.encoder.predict(list(zip(queries, documents, strict=True)))
        lost = self.encoder.read(queries, documents, self.encoder.prompt_of(None, None)).lost
        return [{"score": float(s), "tokens_lost": n} for s, n in zip(scores, lost, strict=True)]

    def evaluate(self, examples: RankRows) -> Scores:
        return evaluate(self.encoder, examples)

    def save(self, folder: Path) -> Path:
        """A cross-encoder's folder as sentence-transformers reads it, and maskfork.json."""
        folder = self.encoder.save(folder)
        describe(folder, {"kind": self.task, "on_long": self.encoder.on_long})
        return folder
