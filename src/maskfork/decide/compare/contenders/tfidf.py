"""TF-IDF with logistic regression: the honest floor. What does not beat it is not worth a GPU."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Progress
from maskfork.errors import ModelError
from maskfork.learn.data.ngrams import Vocabulary, stack
from maskfork.learn.data.rows import Rows
from maskfork.models.formats.readable import save_tensors

_MOST = 200_000  # terms a block; more slows every answer and is noise in small data
_MANY = 1000  # rows from which a term that stands in one text only is left out: half the size, none of the accuracy
_STRENGTHS = (1.0, 3.0, 10.0, 30.0)
_FOLDS = 3


class TfidfPredictor:
    """Weights over n-grams. coef: float32 [C, V]; bias: float32 [C]."""

    def __init__(
        self,
        label_names: tuple[str, ...],
        vocabularies: tuple[Vocabulary, ...],
        coef: NDArray[np.float32],
        bias: NDArray[np.float32],
        paired: bool,
    ) -> None:
        self.label_names = label_names
        self.vocabularies = vocabularies
        self.coef = coef
        self.bias = bias
        self.paired = paired

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Probabilities [N, C]."""
        if (pairs is not None) != self.paired:
            has, got = ("pairs", "single texts") if self.paired else ("single texts", "pairs")
            raise ModelError(f"This model was trained on {has} and got {got}: give it what it was trained on.")
        logits = stack(self.vocabularies, texts, pairs) @ self.coef.T + self.bias
        logits = logits - logits.max(axis=1, keepdims=True)
        probs = np.exp(logits)
        return np.asarray(probs / probs.sum(axis=1, keepdims=True), dtype=np.float32)

    def save(self, folder: Path) -> None:
        """maskfork.json, vocabulary.json, model.safetensors."""
        about = {"kind": "tf-idf", "labels": list(self.label_names), "pair": self.paired}
        (folder / "maskfork.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")
        words = [{"unit": v.unit, "terms": list(v.index)} for v in self.vocabularies]
        (folder / "vocabulary.json").write_text(json.dumps(words, ensure_ascii=False), "utf-8")
        tensors: dict[str, NDArray[Any]] = {"coef": self.coef, "bias": self.bias}
        tensors |= {f"idf.{i}": v.idf for i, v in enumerate(self.vocabularies)}
        whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        save_tensors(whole, folder / "model.safetensors")

    @classmethod
    def open(cls, folder: Path) -> TfidfPredictor:
        """Read what `save` wrote. Raises ModelError where a file is missing or they do not fit each other."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            about = json.loads((folder / "maskfork.json").read_text("utf-8"))
            blocks = json.loads((folder / "vocabulary.json").read_text("utf-8"))
            tensors = load_file(folder / "model.safetensors")
            vocabularies = tuple(
                Vocabulary(b["unit"], {term: i for i, term in enumerate(b["terms"])}, tensors[f"idf.{n}"])
                for n, b in enumerate(blocks)
            )
            labels, paired = tuple(about["labels"]), bool(about["pair"])
            coef, bias = tensors["coef"], tensors["bias"]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ModelError(f"{folder} is not a whole TF-IDF model ({error}): save it again.") from error
        width = sum(len(v.index) for v in vocabularies) * (3 if paired else 1)
        if coef.shape != (len(labels), width) or any(len(v.index) != len(v.idf) for v in vocabularies):
            raise ModelError(f"{folder} holds weights that do not fit its vocabulary: save the model again.")
        return cls(labels, vocabularies, coef, bias, paired)


class TfidfContender(Contender):
    """Word and character n-grams, logistic regression, its strength chosen by cross-validation on the train rows."""

    def __init__(self, class_weight: str | None = None) -> None:
        self.series = "TF-IDF + logistic regression"
        self.kind: Kind = "tf-idf"
        self.base = "none"
        self.class_weight = class_weight

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 2,
            "class_weight": self.class_weight,
            "sklearn": version("scikit-learn"),
        }

    def seeds_matter(self, budget: int, train: Rows) -> bool:
        return budget < len(train)  # the same rows give the same weights, whatever the seed

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        return 0.1 + 0.002 * budget + 0.0005 * len(held_out)

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        from sklearn.linear_model import LogisticRegression

        started = time.perf_counter()
        progress(0.0, "reading n-grams")
        sides = train.texts + (train.pairs or ())
        least = 2 if len(train) >= _MANY else 1
        vocabularies = (Vocabulary.of(sides, "word", _MOST, least), Vocabulary.of(sides, "char", _MOST, least))
        features = stack(vocabularies, train.texts, train.pairs)

        def fit(rows: NDArray[np.int64], strength: float, tolerance: float = 1e-3) -> Any:
            model = LogisticRegression(C=strength, tol=tolerance, max_iter=300, class_weight=self.class_weight)
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module="sklearn")  # 300 steps are part of the recipe
                return model.fit(features[rows], train.labels[rows])

        strength, score, note = self._choose(train, features, fit, progress)
        model = fit(np.arange(len(train)), strength, 1e-4)
        coef = np.zeros((train.num_classes, features.shape[1]), dtype=np.float32)
        bias = np.full(train.num_classes, -30.0, dtype=np.float32)  # a label without a row keeps e^-30
        if len(model.classes_) == 2:  # scikit-learn keeps one row for two labels: the log-odds of the second
            bias[model.classes_] = np.array([0.0, model.intercept_[0]], dtype=np.float32)
            coef[model.classes_[1]] = model.coef_[0]
        else:
            bias[model.classes_] = model.intercept_
            coef[model.classes_] = model.coef_
        predictor = TfidfPredictor(train.label_names, vocabularies, coef, bias, train.pairs is not None)
        fit_seconds = time.perf_counter() - started
        progress(0.95, "answering")
        probs = predictor.predict(held_out.texts, held_out.pairs)
        return Outcome(probs, predictor, fit_seconds, score, (note,))

    def _choose(self, train: Rows, features: Any, fit: Any, progress: Progress) -> tuple[float, float | None, str]:
        """The strength with the best cross-validated accuracy; folds are cut from the train rows only."""
        folds = _folds(train.labels)
        if folds is None:
            return 10.0, None, "Regularisation C = 10, unchosen: too few labelled rows to cross-validate."
        scores: dict[float, float] = {}
        for step, strength in enumerate(_STRENGTHS):
            progress(0.1 + 0.7 * step / len(_STRENGTHS), f"cross-validating C = {strength:g}")
            right = 0
            for fold in range(folds.max() + 1):
                model = fit(np.flatnonzero(folds != fold), strength)
                held = np.flatnonzero(folds == fold)
                right += int((model.predict(features[held]) == train.labels[held]).sum())
            scores[strength] = right / len(train)
        best = max(_STRENGTHS, key=lambda c: (scores[c], -c))  # of equals, the smoother
        return best, scores[best], f"Regularisation C = {best:g} chosen by cross-validation on the labelled rows."

    def open(self, folder: Path) -> TfidfPredictor:
        return TfidfPredictor.open(folder)


def _folds(labels: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Stratified folds [N]; None where the labels have fewer than two rows each on average."""
    if len(labels) < 2 * len(np.unique(labels)):
        return None
    folds = np.empty(len(labels), dtype=np.int64)
    folds[np.argsort(labels, kind="stable")] = np.arange(len(labels)) % min(_FOLDS, len(labels))
    whole = all(len(np.unique(labels[folds != fold])) > 1 for fold in range(folds.max() + 1))
    return folds if whole else None
