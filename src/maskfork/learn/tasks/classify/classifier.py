"""One label a text, plainly: what a comparison fits and times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.errors import DataError, ModelError
from maskfork.learn.adapt import room
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.classify.halves import said_of_halves, temperature_of_halves
from maskfork.learn.tasks.classify.hold import quality, validation_split
from maskfork.learn.tasks.classify.losses import loss_of
from maskfork.learn.tasks.classify.reading import run
from maskfork.learn.tasks.common.contract import Progress, part_of
from maskfork.learn.tasks.common.fitting import fit_rows
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.train.run import Record
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.calibration import fit_temperature
from maskfork.models.device import best_device
from maskfork.models.encode import Encoding, encode, limit_of
from maskfork.models.hub import load
from maskfork.models.model import Model
from maskfork.models.packing import make_batch
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
        """Fine-tune `base` in full on labelled rows.

        Where rows allow it (`settings.validation_*`), a stratified part picks the best epoch and the temperature, which is
        folded into the output layer so that the saved folder gives calibrated probabilities anywhere. Where they do not, the
        temperature comes from halves (`halves.temperature_of_halves`) unless `settings.calibrate` is off.
        """
        settings = settings or FineTuneSettings()
        if len(set(rows.labels.tolist())) < 2:
            raise DataError("training needs rows of two labels at least: take more labelled rows")
        inside, held = validation_split(rows.labels, settings, seed)
        apart = not len(held) and settings.calibrate
        made, encoding = _fitted(base, rows, inside, held, settings, seed, progress=part_of(progress, 0.0, 0.5 if apart else 1.0))
        if (cut := encoding.lost_note(limit_of(made.model, made.max_length) or 0)) is not None:
            made.notes.insert(0, cut)
        if len(held):
            logits = run(made.model, encoding, held).numpy()
            temperature = fold_temperature(made.model, logits, rows.labels[held])
            made.notes.append(f"probabilities calibrated on {len(held)} validation rows (temperature {temperature:.2f})")
            made.validation_score = float((logits.argmax(1) == rows.labels[held]).mean())
        elif apart:

            def answered(learnt: np.ndarray, asked: np.ndarray, own: FineTuneSettings, number: int) -> np.ndarray:
                moved = part_of(progress, 0.5 + number / 4, 0.75 + number / 4)
                half, _ = _fitted(base, rows, learnt, asked[:0], own, seed, progress=moved)
                return run(half.model, encoding, asked).numpy()

            by_halves = temperature_of_halves(rows.labels, settings, seed, answered)
            if by_halves is not None:
                cool(made.model, by_halves)
                made.notes.append(said_of_halves(by_halves))
        return made

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


def _fitted(
    base: str | Path, rows: Rows, inside: np.ndarray, held: np.ndarray, settings: FineTuneSettings, seed: int, *,
    progress: Progress | None,
) -> tuple[Classifier, Encoding]:  # fmt: skip
    """`base` fine-tuned on the rows `inside`, the best epoch chosen by those `held`; and all rows as it reads them."""
    model = load(base, "classify", labels=rows.label_names, seed=seed).to(best_device())
    limit = room(model, settings.adapter if isinstance(settings, TaskSettings) else None, settings.max_length)
    made = Classifier(model, tuple(rows.label_names), limit)
    encoding = encode(model, rows.texts, rows.pairs, limit)
    labels = torch.from_numpy(rows.labels)
    measure = loss_of("single", rows.labels[inside], rows.num_classes, settings)

    def make(part: np.ndarray) -> tuple[Batch, Tensor]:
        chosen = inside[part]
        return make_batch(encoding, chosen), labels[chosen]

    def loss(module: nn.Module, batch: tuple[Batch, Tensor]) -> Tensor:
        return measure(module(batch[0].to(model.device)).logits.float(), batch[1].to(model.device))

    def evaluate(_: nn.Module) -> tuple[float, float]:
        return quality(run(model, encoding, held).numpy(), rows.labels[held])

    lengths = [len(encoding.ids[i]) for i in inside]
    made.record = fit_rows(
        model, lengths, make, loss, settings, seed=seed, evaluate=evaluate if len(held) else None, progress=progress
    )
    made.notes += made.record.notes
    return made, encoding


def fold_temperature(model: Model, logits: np.ndarray, labels: np.ndarray) -> float:
    """Divide the output layer by the temperature that fits these rows [N, C] and [N], and say which it is."""
    temperature = float(fit_temperature(logits, labels))
    cool(model, temperature)
    return temperature


def cool(model: Model, temperature: float) -> None:
    """Divide the output layer by a temperature: the saved folder then gives calibrated probabilities anywhere."""
    head: Any = model.head
    with torch.no_grad():
        for parameter in head.out.parameters():
            parameter.div_(temperature)
