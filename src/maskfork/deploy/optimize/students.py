"""Students of the model as candidates: fewer layers, narrower ones, and a static one for the far end of the front.

They learn what the model says of the user's texts, and of parts of these; no label is asked for. The states of its layers are
learnt too, by those that have layers (Jiao et al. 2020, "TinyBERT").
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from maskfork.decide.distill.phrases import paired_phrases
from maskfork.decide.distill.static import train_static
from maskfork.decide.distill.student import FloatArray, likelihood, train_student
from maskfork.errors import DataError, UsageError
from maskfork.learn.objectives.layers import best_layers
from maskfork.learn.objectives.narrow import narrow_from
from maskfork.learn.objectives.start import start_from
from maskfork.learn.tasks.classify import Sorter
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.rules import Rules, probabilities
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models.model import Model

Name = Literal["two-thirds", "half", "third", "narrow", "static"]
NAMES: tuple[Name, ...] = ("two-thirds", "half", "third", "narrow", "static")
USUAL: tuple[Name, ...] = ("two-thirds", "narrow", "static")
LAYERS: dict[Name, float] = {"two-thirds": 2 / 3, "half": 1 / 2, "third": 1 / 3}
#: texts that are learnt from, parts of the user's own among them, and how many parts a text gives at most
TEXTS, PARTS = 10_000, 4
CHOOSING = 200  # texts by which layers are chosen
WATCHED = 1000  # and inner units
SETTINGS = TaskSettings(epochs=2.0, learning_rate=1e-4, head_rate=1.0, batch_size=32)  # the head is the teacher's
NARROW = replace(SETTINGS, learning_rate=3e-5)  # it begins near its teacher

Moved = Callable[[float, str], None]


def named(said: str) -> tuple[Name, ...]:
    """Students by their names, commas between. Raises UsageError that lists them."""
    wanted = [part.strip() for part in said.split(",") if part.strip()]
    strange = [part for part in wanted if part not in NAMES]
    if strange or not wanted:
        raise UsageError(f"there is no student {strange[0] if strange else ''!r}: choose from {', '.join(NAMES)}")
    return tuple(name for name in NAMES if name in wanted)


@dataclass(frozen=True)
class Lesson:
    """N texts, or pairs, and what the teacher believes of them, [N, C]."""

    teacher: Sorter
    texts: Sequence[str]
    pairs: Sequence[str] | None
    beliefs: FloatArray

    @property
    def several(self) -> bool:
        """Whether several labels may hold."""
        return self.teacher.problem == "multi"

    def some(self, most: int) -> tuple[Sequence[str], Sequence[str] | None]:
        """The first texts, and what they are paired with."""
        return list(self.texts[:most]), None if self.pairs is None else list(self.pairs[:most])


def open_teacher(folder: Path) -> Sorter:
    """Raises UsageError for a model whose answers a student cannot take over."""
    teacher = Sorter.open(folder)
    rules = teacher.rules
    if teacher.problem == "regression" or rules.scope or rules.sets or rules.abstain_below is not None:
        raise UsageError(
            "students answer with labels and no more: this model gives a number, or refuses texts by rules that were set for it "
            "alone"
        )
    if teacher.reader.model.runtime is not None or teacher.reading.windows:
        raise UsageError("students learn from a model in torch that reads a text at once: give the folder it was exported from")
    return teacher


def lesson(
    teacher: Sorter,
    texts: Sequence[str],
    work: Path,
    *,
    pairs: Sequence[str] | None = None,
    most: int = TEXTS,
    seed: int = 0,
) -> Lesson:
    """The texts (or pairs) and parts of them, `most` at the most, with the teacher's beliefs, which are kept in `work`."""
    rows = zip(texts, [""] * len(texts) if pairs is None else pairs, strict=True)
    own = list(dict.fromkeys(row for row in rows if row[0].strip()))
    if len(own) < 2:
        raise DataError("students learn from texts, and there are none: name a file of them with --train")
    firsts, others = zip(*own, strict=True)
    more = paired_phrases(firsts, others, max(0, min(most - len(own), PARTS * len(own))), seed)
    whole, second = (list(side) for side in zip(*own[:most], *more, strict=True))
    seconds = None if pairs is None else second
    file = work / "beliefs.npz"
    if file.is_file() and len(known := np.load(file)["beliefs"]) == len(whole):
        return Lesson(teacher, whole, seconds, known)
    beliefs = probabilities(teacher.problem, teacher.logits(whole, seconds))
    work.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part.npz")
    np.savez(part, beliefs=beliefs)
    os.replace(part, file)
    return Lesson(teacher, whole, seconds, beliefs)


def train(
    name: Name, given: Lesson, folder: Path, *, settings: TaskSettings | None = None, seed: int = 0, moved: Moved | None = None
) -> Path:
    """The folder of a student, trained where it is not there; a training that was cut off goes on.

    Raises UsageError for a static one where there is more to it than one label a text.
    """
    if folder.is_dir():
        return folder
    if name == "static" and (given.several or given.pairs is not None):
        raise UsageError("a static student reads one text and gives it one label: leave static out for pairs and several labels")
    teacher = given.teacher
    work, part = folder.with_name(f".{folder.name}.work"), folder.with_name(f".{folder.name}.part")
    work.mkdir(parents=True, exist_ok=True)
    names = teacher.label_names
    if name == "static":
        made = train_static(teacher.reader.model, given.texts, given.beliefs, names, seed=seed, progress=moved, work=work)
        made.save(part)
    else:
        base = work / "base"
        if not base.is_dir():
            _start(name, given).save(work / "base.part").rename(base)
        own = settings or (NARROW if name == "narrow" else SETTINGS)
        student = train_student(
            base, given.texts, given.pairs, given.beliefs, names, own, robust=0.0, several=given.several,
            like=teacher.reader.model, seed=seed,
            progress=moved, work=work / "training",
        )  # fmt: skip
        student.rules = Rules(thresholds=teacher.rules.thresholds)  # its temperature is in the weights
        student.save(part)
    os.replace(part, folder)
    shutil.rmtree(work, ignore_errors=True)
    return folder


def _start(name: Name, given: Lesson) -> Model:
    """A student that has learnt nothing yet."""
    teacher = given.teacher.reader.model
    if name == "narrow":
        half = max(1, getattr(teacher.spec.main.feed_forward, "size", 0) // 2)
        return narrow_from(teacher, half, lambda: given.teacher.logits(*given.some(WATCHED)))
    own, beliefs = given.teacher, given.beliefs[:CHOOSING]
    texts, pairs = given.some(CHOOSING)

    def worth(model: Model) -> float:
        """How likely the teacher's beliefs are to a model with some of its layers."""
        tried = Sorter(Reader(model), own.problem, own.label_names, own.reading)
        return likelihood(tried.logits(texts, pairs).astype(np.float64), beliefs, several=given.several)

    return start_from(teacher, best_layers(teacher, max(1, round(teacher.spec.main.depth * LAYERS[name])), worth))
