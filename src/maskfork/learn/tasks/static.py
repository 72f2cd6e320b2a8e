"""A static classifier: the mean of token vectors and a small head. The far end of speed: no attention, so no word order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import msgspec
import numpy as np

from maskfork.errors import DataError, ModelError
from maskfork.models.about import FILE, describe, said_of
from maskfork.models.static import StaticModel


@dataclass
class StaticClassifier:
    """One label a text. maskfork.json names the labels; everything else is sentence-transformers' folder."""

    kind: ClassVar[str] = "static"
    model: StaticModel
    label_names: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def open(folder: Path) -> StaticClassifier:
        """A folder saved by `save`. Raises ModelError."""
        model = StaticModel.open(folder)
        try:
            names = msgspec.convert(said_of(folder).get("labels"), tuple[str, ...])
        except msgspec.ValidationError as error:
            raise ModelError(f"{folder / FILE} names no labels ({error}): save the model again") from error
        width = model.layers[-1].gives if len(model.layers) else None
        if width != len(names):
            raise ModelError(
                f"{folder / FILE} names {len(names)} labels and the model answers with {width} numbers: save it again"
            )
        return StaticClassifier(model, names)

    def save(self, folder: Path) -> Path:
        self.model.save(folder)
        describe(folder, {"kind": self.kind, "labels": list(self.label_names)})
        return folder

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """[N, C] float32. Raises DataError for pairs, whose two texts a mean of vectors cannot tell apart."""
        if pairs is not None:
            raise DataError("a static model reads one text, not a pair: leave the second texts out")
        found: np.ndarray = self.model.answer(texts).numpy()
        return found

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities [N, C] float32."""
        logits = self.logits(texts, pairs)
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        probs: np.ndarray = odds / odds.sum(-1, keepdims=True)
        return probs
