"""A linear probe: logistic regression on the mean-pooled embeddings of an encoder that is left as it is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskfork.decide.compare.bases import check_base, compute_parameters, digest, flops_per_second, short_name, tokens
from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Predictor, Progress
from maskfork.learn.data.rows import Rows

if TYPE_CHECKING:
    from maskfork.learn.tasks.probe import Embedder


class ProbeContender(Contender):
    """base: a model folder or Hub id. Each text is embedded once, whatever the budgets and seeds."""

    def __init__(self, base: str, class_weight: str | None = None) -> None:
        self.base = base
        self.kind: Kind = "probe"
        self.series = f"probe on {short_name(base)}"
        self.class_weight = class_weight
        self._embedder: Embedder | None = None

    def check(self, train: Rows) -> None:
        from maskfork.learn.tasks.classify import check_trainable

        check_trainable(check_base(self.base))

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 1,
            "base": digest(check_base(self.base)),
            "class_weight": self.class_weight,
            "sklearn": version("scikit-learn"),
            "torch": version("torch"),
        }

    def seeds_matter(self, budget: int, train: Rows) -> bool:
        return budget < len(train)  # the same rows give the same weights, whatever the seed

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        per_text = 2 * compute_parameters(check_base(self.base)) * tokens(held_out.texts, held_out.pairs)
        return 0.5 + per_text * (budget + len(held_out)) / flops_per_second()

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        from maskfork.learn.tasks.probe import Probe

        started = time.perf_counter()
        progress(0.0, "embedding")
        embedder = self._shared_embedder()
        model = Probe.train(embedder, train, class_weight=self.class_weight)
        fit_seconds = time.perf_counter() - started
        progress(0.7, "answering")
        probs = model.predict(held_out.texts, held_out.pairs)
        return Outcome(probs, model, fit_seconds, model.validation_score, tuple(model.notes))

    def open(self, folder: Path) -> Predictor:
        from maskfork.learn.tasks.probe import Probe

        return Probe.open(folder)

    def _shared_embedder(self) -> Embedder:
        from maskfork.learn.tasks.probe import Embedder

        if self._embedder is None:
            self._embedder = Embedder(str(check_base(self.base)))
        return self._embedder
