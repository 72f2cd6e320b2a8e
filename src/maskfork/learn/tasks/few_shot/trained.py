"""A few-shot classifier: an encoder and a logistic head on its vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.common.contract import Answer, Scores, Trained
from maskfork.learn.tasks.probe import Probe
from maskfork.learn.train.run import Record
from maskfork.measure.intervals import score_interval
from maskfork.models.about import describe


@dataclass
class FewShot(Trained):
    """`probe` holds the trained encoder and the head."""

    probe: Probe
    notes: list[str] = field(default_factory=list)
    record: Record | None = None

    task: ClassVar[str] = "few-shot"

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        """The label, every label's probability and the tokens that were not read, of each `text`."""
        if any("text" not in row for row in rows):
            raise DataError("a row to label holds a text.")
        texts = [str(row["text"]) for row in rows]
        names, probs, lost = self.probe.label_names, self.probe.predict(texts), self.probe.tokens_lost(texts)
        return [
            {"label": names[int(p.argmax())], "probabilities": dict(zip(names, p.tolist(), strict=True)), "tokens_lost": n}
            for p, n in zip(probs, lost, strict=True)
        ]

    def evaluate(self, examples: Rows) -> Scores:
        """Accuracy and macro-F1 of this very model on new rows."""
        names = [*self.probe.label_names, *(n for n in examples.label_names if n not in self.probe.label_names)]
        truth = np.array([names.index(name) for name in examples.label_names], dtype=np.int64)[examples.labels]
        predicted = self.probe.predict(examples.texts).argmax(-1)
        values = {
            metric: score_interval(metric, predicted, truth, len(names), retrained=False) for metric in ("accuracy", "macro_f1")
        }
        strange = int((truth >= len(self.probe.label_names)).sum())
        notes = (f"{strange:,} rows have a label that the model does not know: they count as wrong.",) if strange else ()
        return Scores("accuracy", values, len(examples), notes)

    def save(self, folder: Path) -> Path:
        """The encoder's folder, the head beside it, and maskfork.json."""
        folder = self.probe.save(folder)
        describe(folder, {"kind": self.task})
        return folder
