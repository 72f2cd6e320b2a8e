"""Linear probe: a frozen encoder's mean-pooled vectors and a logistic regression on them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from maskfork.errors import DataError, ModelError
from maskfork.learn.data.rows import Rows
from maskfork.models.device import best_device
from maskfork.models.encode import OnLong
from maskfork.models.formats.readable import save_tensors
from maskfork.models.hub import load
from maskfork.models.model import Model
from maskfork.models.sentence import Normalize, Pooling, SentenceEncoder


class Embedder:
    """Texts to unit-length mean-pooled vectors of a frozen model."""

    def __init__(self, base: str | Path | Model, max_length: int | None = None, on_long: OnLong = "truncate") -> None:
        self.model = base if isinstance(base, Model) else load(base, "none").to(best_device())
        self.max_length = max_length
        stages = (Pooling(self.model.spec.hidden_size), Normalize())
        self.encoder = SentenceEncoder(self.model, stages, max_seq_length=max_length, on_long=on_long)
        self.notes: list[str] = []

    def embed(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> np.ndarray:
        """[N, E] float32, each of length one. What the limit cut is added to `notes`."""
        vectors = self.encoder.encode(list(texts), pairs)
        self.notes += [note for note in self.encoder.notes if note not in (*self.notes, *self.model.notes)]
        return vectors


@dataclass
class Probe:
    """softmax(W x + b) over the frozen vectors."""

    embedder: Embedder
    label_names: tuple[str, ...]
    weight: np.ndarray  # [C, E]
    bias: np.ndarray  # [C]
    notes: list[str] = field(default_factory=list)

    @staticmethod
    def train(
        base: str | Path | Embedder,
        rows: Rows,
        seed: int = 0,
        *,
        vectors: np.ndarray | None = None,
        balanced: bool = False,
        c: float | None = None,
    ) -> Probe:
        """Fit on labelled rows; the regularisation is chosen by cross-validation on them alone, unless `c` says it.

        `vectors` [N, E] are the rows' embeddings where they are already known. Where the vectors have learnt these labels,
        name `c`: cross-validation would find the rows apart whatever is left out, and always ask for the weakest.
        """
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, StratifiedKFold

        embedder = base if isinstance(base, Embedder) else Embedder(base)
        counts = np.bincount(rows.labels, minlength=rows.num_classes)
        if (counts > 0).sum() < 2:
            raise DataError("training needs rows of two labels at least: take more labelled rows")
        x = embedder.embed(rows.texts, rows.pairs) if vectors is None else vectors
        folds = int(min(5, counts[counts > 0].min()))
        weight = "balanced" if balanced else None
        if c is not None:
            fitted = LogisticRegression(C=c, max_iter=2000, class_weight=weight).fit(x, rows.labels)
            said = f"regularisation C={c:g}"
        elif folds >= 2:
            search = GridSearchCV(
                LogisticRegression(max_iter=2000, class_weight=weight),
                {"C": [1.0, 10.0, 100.0]},
                cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
                scoring="neg_log_loss",
            )
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The number of unique classes", module="sklearn")  # many labels are no fault
                fitted = search.fit(x, rows.labels).best_estimator_
            said = f"regularisation C={search.best_params_['C']:g} by {folds}-fold cross-validation on the training rows"
        else:
            fitted = LogisticRegression(C=10.0, max_iter=2000, class_weight=weight).fit(x, rows.labels)
            said = "regularisation C=10: a label has one row, so nothing can be cross-validated"
        full_weight = np.zeros((rows.num_classes, x.shape[1]), dtype=np.float32)
        full_bias = np.full(rows.num_classes, -1e4, dtype=np.float32)  # a label without rows gets no probability
        if len(fitted.classes_) == 2:  # one weight vector for the second of two labels
            full_weight[fitted.classes_[1]] = fitted.coef_[0]
            full_bias[fitted.classes_[0]], full_bias[fitted.classes_[1]] = 0.0, fitted.intercept_[0]
        else:
            full_weight[fitted.classes_], full_bias[fitted.classes_] = fitted.coef_, fitted.intercept_
        return Probe(embedder, tuple(rows.label_names), full_weight, full_bias, [said, *embedder.notes])

    @staticmethod
    def open(folder: str | Path) -> Probe:
        """A folder saved by `save`. Raises ModelError."""
        folder = Path(folder)
        file = folder / "probe.safetensors"
        if not file.is_file():
            raise ModelError(f"{folder} has no probe.safetensors: give a folder that was saved as a probe")
        tensors, about = load_file(str(file)), json.loads((folder / "probe.json").read_text("utf-8"))
        embedder = Embedder(folder, about["max_length"], about.get("on_long", "truncate"))
        return Probe(embedder, tuple(about["labels"]), tensors["weight"], tensors["bias"])

    def predict(
        self, texts: Sequence[str], pairs: Sequence[str] | None = None, *, vectors: np.ndarray | None = None
    ) -> np.ndarray:
        """Probabilities [N, C] float32."""
        x = self.embedder.embed(texts, pairs) if vectors is None else vectors
        logits = x @ self.weight.T + self.bias
        logits -= logits.max(-1, keepdims=True)
        odds = np.exp(logits)
        probs: np.ndarray = (odds / odds.sum(-1, keepdims=True)).astype(np.float32)
        return probs

    def predict_one(self, text: str, pair: str | None = None) -> np.ndarray:
        """Probabilities [C] of one text."""
        row: np.ndarray = self.predict([text], None if pair is None else [pair])[0]
        return row

    def tokens_lost(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """How many tokens of each text the encoder's limit cuts."""
        return self.embedder.encoder.read(texts, pairs).lost

    def save(self, folder: str | Path) -> Path:
        """The encoder's folder with probe.safetensors and probe.json beside it."""
        folder = self.embedder.model.save(folder)
        save_tensors({"weight": self.weight, "bias": self.bias}, folder / "probe.safetensors")
        about = {
            "labels": list(self.label_names), "max_length": self.embedder.max_length, "on_long": self.embedder.encoder.on_long,
            "pooling": "mean", "normalised": True,
        }  # fmt: skip
        (folder / "probe.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", "utf-8")
        return folder
