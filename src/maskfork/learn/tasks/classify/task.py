"""The task: files in, a trained classifier out."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from maskfork.learn.data.names import LABEL, PAIRS, TEXT
from maskfork.learn.tasks.classify.examples import Labelled
from maskfork.learn.tasks.classify.read import read, read_for
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.classify.sorter import Sorter
from maskfork.learn.tasks.classify.training import train_sorter
from maskfork.learn.tasks.common.contract import Progress, Role, Sources, Split, Task, Trained
from maskfork.learn.tasks.common.settings import TaskSettings


class Classify(Task[Labelled]):
    """One label, several, or a number for a text or a pair of texts."""

    name: ClassVar[str] = "classify"
    about: ClassVar[str] = "Gives a text, or a pair of texts, a label, several labels, or a number."
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "the text", TEXT),
        Role("pair", "the second text of a pair", tuple(dict.fromkeys(second for _, second in PAIRS)), needed=False),
        Role("label", "its label; several as a list, or with a|b or a,b; or a number", LABEL),
        Role("group", "rows of one group are trained on or held out together", needed=False),
        Role("time", "the latest rows are held out", needed=False),
    )
    settings: ClassVar[type[TaskSettings]] = ClassifySettings
    heads: ClassVar[tuple[str, ...]] = ("classify",)

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Labelled]:
        return read(sources, own(settings))

    def read_for(self, trained: Trained, sources: Sources, settings: TaskSettings) -> Split[Labelled]:
        """By the model's own problem and labels: a file whose rows have one label each may be of a model that gives several."""
        assert isinstance(trained, Sorter)
        scope = trained.rules.scope
        return read_for(sources, trained.problem, trained.label_names, None if scope is None else scope.name)

    def train(
        self,
        base: str | Path,
        split: Split[Labelled],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Sorter:
        return train_sorter(base, split, own(settings), seed=seed, progress=progress, work=work)

    def open(self, folder: Path) -> Sorter:
        return Sorter.open(folder)


def own(settings: TaskSettings) -> ClassifySettings:
    """Settings that any task has, with this task's defaults for the rest."""
    return ClassifySettings.of(settings)
