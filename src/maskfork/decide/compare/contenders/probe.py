"""A linear probe: logistic regression on the mean-pooled embeddings of an encoder that is left as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.bases import (
    check_encoder,
    compute_parameters,
    find_base,
    flops_per_second,
    short_name,
    tokens,
)
from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Predictor, Progress
from maskfork.learn.data.rows import Rows
from maskfork.models.digest import digest

if TYPE_CHECKING:
    from maskfork.learn.tasks.probe import Embedder


class ProbeContender(Contender):
    """base: a model folder or Hub id. Each text is embedded once, whatever the budgets and seeds."""

    def __init__(self, base: str, class_weight: str | None = None, max_length: int | None = None) -> None:
        self.base = base
        self.kind: Kind = "probe"
        self.series = f"probe on {short_name(base)}"
        self.class_weight = class_weight
        self.max_length = max_length
        self._embedder: Embedder | None = None
        self._vectors: dict[tuple[str, str | None], NDArray[np.float32]] = {}

    def check(self, train: Rows) -> None:
        check_encoder(self.base)

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 1,
            "base": digest(find_base(self.base)),
            "class_weight": self.class_weight,
            "max_length": self.max_length,
            "sklearn": version("scikit-learn"),
            "torch": version("torch"),
        }

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        per_text = 2 * compute_parameters(find_base(self.base)) * tokens(held_out.texts, held_out.pairs)
        return 0.5 + per_text * (budget + len(held_out)) / flops_per_second()

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        from maskfork.learn.tasks.probe import Probe

        started = time.perf_counter()
        progress(0.0, "embedding the labelled rows")
        vectors = self._embedded(train.texts, train.pairs)
        progress(0.3, "fitting")
        model = Probe.train(self._encoder(), train, seed, vectors=vectors, balanced=self.class_weight == "balanced")
        fit_seconds = time.perf_counter() - started
        progress(0.4, "embedding the held-out rows")
        probs = model.predict(held_out.texts, held_out.pairs, vectors=self._embedded(held_out.texts, held_out.pairs))
        return Outcome(probs, model, fit_seconds, None, tuple(model.notes))

    def open(self, folder: Path) -> Predictor:
        from maskfork.learn.tasks.probe import Probe

        return Probe.open(folder)

    def _encoder(self) -> Embedder:
        from maskfork.learn.tasks.probe import Embedder

        if self._embedder is None:
            self._embedder = Embedder(find_base(self.base), self.max_length)
        return self._embedder

    def _embedded(self, texts: Sequence[str], pairs: Sequence[str] | None) -> NDArray[np.float32]:
        """[N, E]; only texts that were not seen before go through the encoder."""
        beside: Sequence[str | None] = [None] * len(texts) if pairs is None else pairs
        wanted = list(zip(texts, beside, strict=True))
        new = [key for key in dict.fromkeys(wanted) if key not in self._vectors]
        if new:
            seconds = None if pairs is None else [pair or "" for _, pair in new]
            vectors = self._encoder().embed([text for text, _ in new], seconds)
            self._vectors.update(zip(new, vectors, strict=True))
        return np.stack([self._vectors[key] for key in wanted])
