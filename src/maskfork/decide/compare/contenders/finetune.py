"""An encoder fine-tuned in full."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

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
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.models.digest import digest


class FineTuneContender(Contender):
    """base: a model folder or Hub id. settings: of the training; None for its defaults."""

    def __init__(self, base: str, settings: FineTuneSettings | None = None) -> None:
        self.base = base
        self.kind: Kind = "fine-tune"
        self.series = f"fine-tuned {short_name(base)}"
        self.settings = settings or FineTuneSettings()

    def check(self, train: Rows) -> None:
        check_encoder(self.base)

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 1,
            "base": digest(find_base(self.base)),
            "settings": self.settings.as_dict(),
            "torch": version("torch"),
        }

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        per_text = 2 * compute_parameters(find_base(self.base)) * tokens(held_out.texts, held_out.pairs)
        steps, _ = self.settings.steps(budget)
        trainings = 2 if self.settings.calibrate and not self.settings.kept_back(budget) else 1
        passes = 3 * trainings * steps * self.settings.rows_a_step(budget) + len(held_out)  # backward is about two forwards
        return 1.0 + per_text * passes / flops_per_second()

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        from maskfork.learn.tasks.classify import Classifier
        from maskfork.learn.tasks.common.contract import part_of

        started = time.perf_counter()
        model = Classifier.train(
            find_base(self.base),
            train,
            settings=self.settings,
            seed=seed,
            progress=part_of(progress, 0.0, 0.9),
        )
        fit_seconds = time.perf_counter() - started
        progress(0.9, "answering")
        probs = model.predict(held_out.texts, held_out.pairs)
        return Outcome(probs, model, fit_seconds, model.validation_score, tuple(model.notes))

    def open(self, folder: Path) -> Predictor:
        from maskfork.learn.tasks.classify import Classifier

        return Classifier.open(folder)
