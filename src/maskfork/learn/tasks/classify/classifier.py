"""One label a text, plainly: what a comparison fits and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from torch import Tensor

from maskfork.errors import ModelError
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.classify.examples import Labelled
from maskfork.learn.tasks.classify.reading import run
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.classify.training import train_sorter
from maskfork.learn.tasks.common.contract import Progress, Split
from maskfork.learn.train.run import Record
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.device import best_device
from maskfork.models.encode import encode
from maskfork.models.model import Model
from maskfork.models.runtimes.exported import open_model


@dataclass
class Classifier:
    """A model with a classification head and its labels."""

    model: Model
    label_names: tuple[str, ...]
    max_length: int | None = None
    record: Record | None = None
    notes: list[str] = field(default_factory=list)
    validation_score: float | None = None

    @staticmethod
    def train(
        base: str | Path,
        rows: Rows,
        *,
        settings: FineTuneSettings | None = None,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> Classifier:
        """Fine-tune `base` on labelled rows, each text read as one sequence, as `training.train_sorter` does.

        Where rows allow it (`settings.validation_*`), a stratified part picks the best epoch and the temperature, which is
        folded into the output layer so that the saved folder gives calibrated probabilities anywhere. Where they do not, the
        temperature comes from halves (`halves.temperature_of_halves`) unless `settings.calibrate` is off.
        """
        own = ClassifySettings(**(settings or FineTuneSettings()).as_dict())
        made = train_sorter(base, Split(Labelled.of_rows(rows), None, None), own, seed=seed, progress=progress)
        model = made.reader.model
        notes = [note for note in made.notes if note not in model.notes]  # that its head starts fresh is no news where all do
        return Classifier(model, made.label_names, made.reading.max_length, made.record, notes, made.validation_score)

    @staticmethod
    def open(folder: str | Path) -> Classifier:
        """A folder saved by `save`, or any classifier in the Hugging Face layout. Raises ModelError."""
        model = open_model(folder).to(best_device())
        if model.spec.head is None or model.spec.head.kind != "classify":
            raise ModelError(f"{folder} is no classifier: fine-tune it first, or give a folder that was saved as one")
        return Classifier(model, model.label_names, model.config.get("max_length_trained"))

    def logits(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Tensor:
        """[N, C] float32, in the order of the texts."""
        encoding = encode(self.model, texts, pairs, self.max_length)
        return run(self.model, encoding)

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """Probabilities [N, C] float32."""
        probs: np.ndarray = self.logits(texts, pairs).softmax(-1).numpy()
        return probs

    def predict_one(self, text: str, pair: str | None = None) -> np.ndarray:
        """Probabilities [C] of one text."""
        row: np.ndarray = self.predict([text], None if pair is None else [pair])[0]
        return row

    def tokens_lost(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """How many tokens of each text the model's limit cuts."""
        return encode(self.model, texts, pairs, self.max_length).lost

    def save(self, folder: str | Path) -> Path:
        """A folder that `maskfork` and `transformers` load."""
        self.model.config.pop("max_length_trained", None)  # a base may have brought its own
        if self.max_length is not None:
            self.model.config["max_length_trained"] = self.max_length
        return self.model.save(folder)
