"""Classify: one label a text (or a pair), by a model fine-tuned in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from maskfork.core.batch import Batch
from maskfork.errors import DataError, ModelError
from maskfork.learn.data.rows import Rows
from maskfork.learn.train import batches as batching
from maskfork.learn.train.loop import Progress, Record, fit
from maskfork.learn.train.precision import autocast
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.calibration import fit_temperature
from maskfork.models.device import best_device
from maskfork.models.encode import Encoding, encode, limit_of
from maskfork.models.hub import load
from maskfork.models.model import Model
from maskfork.models.packing import TOKENS, by_tokens, make_batch


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
        folded into the output layer so that the saved folder gives calibrated probabilities anywhere.
        """
        settings = settings or FineTuneSettings()
        if len(set(rows.labels.tolist())) < 2:
            raise DataError("training needs rows of two labels at least: take more labelled rows")
        model = load(base, "classify", labels=rows.label_names, seed=seed).to(best_device())
        made = Classifier(model, tuple(rows.label_names), settings.max_length)
        encoding = encode(model, rows.texts, rows.pairs, settings.max_length)
        if (cut := encoding.lost_note(limit_of(model, settings.max_length) or 0)) is not None:
            made.notes.append(cut)
        inside, held = validation_split(rows.labels, settings, seed)
        labels = torch.from_numpy(rows.labels)
        weights = None
        if settings.class_weight == "balanced":
            weights = class_weights(rows.labels[inside], rows.num_classes).to(model.device)
        lengths = [len(encoding.ids[i]) for i in inside]

        def epoch(number: int) -> Iterator[tuple[Batch, Tensor]]:
            rng = np.random.default_rng([seed, number])
            for part in batching.shuffled_buckets(lengths, settings.rows_a_step(len(inside)), rng):
                chosen = inside[part]
                yield make_batch(encoding, chosen), labels[chosen]

        def loss(module: nn.Module, batch: tuple[Batch, Tensor]) -> Tensor:
            logits = module(batch[0].to(model.device)).logits.float()
            truth = batch[1].to(model.device)
            return cross_entropy(logits, truth, weight=weights, label_smoothing=settings.label_smoothing)

        def evaluate(module: nn.Module) -> tuple[float, float]:
            logits = run(model, encoding, held)
            truth = labels[held]
            return float((logits.argmax(-1) == truth).float().mean()), -float(cross_entropy(logits, truth))

        steps, per_epoch = settings.steps(len(inside))
        made.record = fit(
            model, epoch, loss, steps=steps, steps_per_epoch=per_epoch, learning_rate=settings.learning_rate, seed=seed,
            weight_decay=settings.weight_decay, warmup=settings.warmup, clip=settings.clip, wanted_precision=settings.precision,
            evaluate=evaluate if len(held) else None, progress=progress,
        )  # fmt: skip
        made.notes += made.record.notes
        if len(held):
            made._calibrate(run(model, encoding, held).numpy(), rows.labels[held])
            made.validation_score = max(made.record.scores)
        return made

    @staticmethod
    def open(folder: str | Path) -> Classifier:
        """A folder saved by `save`, or any classifier in the Hugging Face layout. Raises ModelError."""
        model = load(folder).to(best_device())
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

    def _calibrate(self, logits: np.ndarray, labels: np.ndarray) -> None:
        temperature = float(fit_temperature(logits, labels))
        head: Any = self.model.head
        with torch.no_grad():
            for parameter in head.out.parameters():
                parameter.div_(temperature)
        self.notes.append(f"probabilities calibrated on {len(labels)} validation rows (temperature {temperature:.2f})")


def run(model: Model, encoding: Encoding, rows: np.ndarray | None = None, *, bf16: bool = False) -> Tensor:
    """Logits [n, C] float32 of the chosen rows, packed by token budget, in their order."""
    chosen = np.arange(len(encoding.ids)) if rows is None else rows
    if len(chosen) == 0:
        return torch.empty(0, len(model.label_names))
    out: Tensor | None = None
    was_training = model.training
    model.eval()
    with torch.inference_mode(), autocast(model.device, bf16=bf16):
        for part in by_tokens([len(encoding.ids[i]) for i in chosen], TOKENS):
            logits = model(make_batch(encoding, chosen[part]).to(model.device)).logits.float()
            if out is None:
                out = torch.empty(len(chosen), logits.shape[-1])
            out[torch.from_numpy(part)] = logits.cpu()
    model.train(was_training)
    if out is None:
        raise DataError("there is no text to classify: give at least one")
    return out


def validation_split(labels: np.ndarray, settings: FineTuneSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(train indices, validation indices), stratified; none for validation where too few rows would be left for it.

    Each label gives its share in whole rows; what rounding leaves goes to the largest remainders, ties by the seed, so that
    a hundred labels of four rows are not all rounded down to none. Every label keeps a row to train on.
    """
    wanted = min(round(len(labels) * settings.validation_share), settings.validation_max)
    everything = np.arange(len(labels))
    if wanted < settings.validation_min:
        return everything, np.array([], dtype=np.int64)
    rng = np.random.default_rng([seed, 7])
    names, counts = np.unique(labels, return_counts=True)
    shares = wanted * counts / len(labels)
    whole = np.floor(shares).astype(np.int64)
    first = np.lexsort((rng.random(len(names)), whole - shares))  # the largest remainder first
    whole[first[: wanted - whole.sum()]] += 1
    held: list[int] = []
    for label, count, own in zip(names, counts, whole, strict=True):
        held += rng.permutation(np.flatnonzero(labels == label))[: min(count - 1, own)].tolist()
    chosen = np.zeros(len(labels), dtype=bool)
    chosen[held] = True
    return everything[~chosen], everything[chosen]


def class_weights(labels: np.ndarray, classes: int) -> Tensor:
    """Each class in inverse proportion to its rows, one on average (a class without rows gets one)."""
    counts = np.bincount(labels, minlength=classes)
    return torch.tensor(
        np.where(counts > 0, len(labels) / np.maximum(counts, 1) / max(1, (counts > 0).sum()), 1.0), dtype=torch.float32
    )
