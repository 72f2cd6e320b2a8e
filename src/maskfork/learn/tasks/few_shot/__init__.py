"""Few-shot: a classifier from a handful of rows a label, by SetFit's way or by the probe.

Tunstall et al. 2022 ("Efficient few-shot learning without prompts"): the vectors of a sentence encoder are trained so that
texts of one label are alike, then a logistic regression reads the labels off them. Here a step compares every text of its batch
with every other, where SetFit draws pairs: 496 comparisons of 32 texts instead of 16.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from maskfork.errors import DataError
from maskfork.learn.data.dataset import load_dataset
from maskfork.learn.data.gather import gather
from maskfork.learn.data.labels import in_order
from maskfork.learn.data.names import LABEL, TEXT
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.common.contract import Progress, Role, Sources, Split, Task
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.few_shot.settings import FewShotSettings
from maskfork.learn.tasks.few_shot.train import train
from maskfork.learn.tasks.few_shot.trained import FewShot
from maskfork.learn.tasks.probe import Probe


class FewShotTask(Task[Rows]):
    """See `learn/tasks/few_shot/`: settings, train, trained, propose."""

    name: ClassVar[str] = "few-shot"
    about: ClassVar[str] = "A classifier from a handful of rows a label: contrastive training, then a head (SetFit); or a probe."
    roles: ClassVar[tuple[Role, ...]] = (Role("text", "the text", TEXT), Role("label", "its label", LABEL))
    settings: ClassVar[type[TaskSettings]] = FewShotSettings

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Rows]:
        """As `maskfork compare` reads labelled rows: copies of held-out texts are removed, and all that is done is said."""
        text, label = sources.columns.get("text"), sources.columns.get("label")
        if sources.validation is not None:
            raise DataError("few-shot keeps no rows back to validate by: add those of --validation to the training rows.")
        if sources.judged_only:
            judged = gather(sources.train, None, text=text, label=label, pair="none", group=None, time=None)
            names = in_order(set(judged.source.labels))
            index = {name: i for i, name in enumerate(names)}
            rows = judged.source.rows(np.array([index[name] for name in judged.source.labels], dtype=np.int64), names)
            return Split(rows.take([]), None, rows, tuple(judged.notes))
        found = load_dataset(
            sources.train, test_path=sources.test, text=text, label=label, pair="none", test_share=sources.test_share,
            seed=sources.seed,
        )  # fmt: skip
        return Split(found.train, None, found.test, tuple(found.report.notes), copies_told=True)

    def train(
        self,
        base: str | Path,
        split: Split[Rows],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> FewShot:
        assert isinstance(settings, FewShotSettings)
        return train(base, split.train, settings, seed=seed, progress=progress, work=work)

    def open(self, folder: Path) -> FewShot:
        return FewShot(Probe.open(folder))


TASK = FewShotTask()
