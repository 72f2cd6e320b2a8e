"""One label a text, by the likelihood of its words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from maskfork.models.model import Model
from maskfork.prompt.ask.asker import DecoderAsker, Moved, classifier_of
from maskfork.prompt.tasks.description import TaskDescription


class LabelAsker(DecoderAsker):
    """`confidence` is the label's probability among the labels; `agreement` the share of orders that give it."""

    def __init__(self, decoder: str | Path | Model, task: TaskDescription) -> None:
        super().__init__(decoder, task)
        self.classifier = classifier_of(self.model, task)
        self.notes += self.classifier.notes

    @property
    def rounds(self) -> int:
        return len(self.classifier.prompts.orders)

    def ask(self, texts: Sequence[str], pairs: Sequence[str] | None = None, moved: Moved | None = None) -> list[dict[str, Any]]:
        found = self.classifier.ask(texts, pairs, moved)
        rows = []
        for probs, agreement, lost in zip(found.probs, found.agreement, found.tokens_lost, strict=True):
            best = int(probs.argmax())
            row: dict[str, Any] = {"label": self.task.label_names[best], "confidence": round(float(probs[best]), 6)}
            row["probabilities"] = {n: round(float(p), 6) for n, p in zip(self.task.label_names, probs, strict=True)}
            if self.rounds > 1:
                row["agreement"] = round(float(agreement), 6)
            rows.append({**row, "tokens_lost": lost})
        return rows
