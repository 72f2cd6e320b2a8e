"""A decoder prompted with the labels' names and, at larger budgets, with the labelled rows as examples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.bases import (
    check_decoder,
    compute_parameters,
    find_base,
    flops_per_second,
    short_name,
    tokens,
)
from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Progress
from maskfork.errors import ModelError, UsageError
from maskfork.learn.data.rows import Rows
from maskfork.models.digest import digest
from maskfork.prompt.tasks import Example, Label, TaskDescription, read_task

if TYPE_CHECKING:
    from maskfork.models.model import Model
    from maskfork.prompt.score import PromptedClassifier

Shot = tuple[str, str | None, int]  # text, second text of a pair, label number
_STEP = 64  # texts between two reports of progress


@dataclass(frozen=True)
class PromptTask:
    """All that turns a decoder into a classifier; saved as prompt.json, the decoder itself by its path or id.

    label_words: what the decoder is to write for each label. calibrate: contextual calibration (Zhao et al. 2021). about: the
    task's description, where there is one: what is asked, what labels mean, template, choice and orders of examples.
    """

    decoder: str
    label_names: tuple[str, ...]
    label_words: tuple[str, ...]
    shots: tuple[Shot, ...]
    calibrate: bool
    about: TaskDescription | None = None

    def build(self, decoder: Model | Path) -> PromptedClassifier:
        from maskfork.prompt.ask import classifier_of
        from maskfork.prompt.score import PromptedClassifier

        if self.about is not None:
            return classifier_of(decoder, self._described(self.about))
        return PromptedClassifier(decoder, self.label_names, self.shots, label_words=self.label_words, calibrate=self.calibrate)

    def _described(self, about: TaskDescription) -> TaskDescription:
        """The description with these labels in this order and with the rows behind its own examples."""
        told = {label.name: label.description for label in about.labels}
        names = [Label(name, told[name], word) for name, word in zip(self.label_names, self.label_words, strict=True)]
        rows = [Example(text, self.label_names[label], pair) for text, pair, label in self.shots]
        how = about.how.but(calibrate=self.calibrate)
        return replace(about, labels=tuple(names), examples=(*about.examples, *rows), how=how)


class PromptedPredictor:
    """A prompted decoder that can be saved: the task as text, and where the decoder is."""

    def __init__(self, task: PromptTask, model: PromptedClassifier, decoder_digest: str) -> None:
        self.task = task
        self.label_names = task.label_names
        self.model = model
        self.decoder_digest = decoder_digest

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[Any]:
        """Probabilities [N, C]."""
        return self.model.predict(texts, pairs)

    def tokens_lost(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[int]:
        """How many tokens of each text do not fit beside the examples."""
        return self.model.tokens_lost(texts, pairs)

    def save(self, folder: Path) -> None:
        """maskfork.json and prompt.json. The decoder stays where it is; its digest is kept to know it again."""
        about = {"kind": "prompt", "labels": list(self.label_names), "base": self.task.decoder}
        (folder / "maskfork.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")
        said = {
            "decoder": self.task.decoder,
            "decoder_digest": self.decoder_digest,
            "label_words": list(self.task.label_words),
            "shots": [list(shot) for shot in self.task.shots],
            "calibrate": self.task.calibrate,
            "task": None if self.task.about is None else self.task.about.as_dict(),
        }
        (folder / "prompt.json").write_text(json.dumps(said, ensure_ascii=False, indent=1), "utf-8")

    @classmethod
    def open(cls, folder: Path, load: Callable[[str], Model | Path] | None = None) -> PromptedPredictor:
        """Read what `save` wrote. Raises ModelError where a file is broken or the decoder is another one now."""
        try:
            labels = json.loads((folder / "maskfork.json").read_text("utf-8"))["labels"]
            said = json.loads((folder / "prompt.json").read_text("utf-8"))
            shots = tuple((str(text), pair, int(label)) for text, pair, label in said["shots"])
            words = tuple(said["label_words"])
            about = None if said.get("task") is None else read_task(said["task"])
            task = PromptTask(str(said["decoder"]), tuple(labels), words, shots, bool(said["calibrate"]), about)
            wanted = str(said["decoder_digest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} is not a whole prompted model ({error}): save it again.") from error
        if digest(find_base(task.decoder)) != wanted:
            raise ModelError(f"The decoder at {task.decoder} is not the one that {folder} was made with: compare again.")
        return cls(task, task.build((load or find_base)(task.decoder)), wanted)


@dataclass
class Decoders:
    """Decoders that are loaded once and asked once: plain and calibrated answers rest on the same likelihoods."""

    _models: dict[str, Model] = field(default_factory=dict)
    _asked: dict[tuple[Any, ...], NDArray[np.float64]] = field(default_factory=dict)

    def model(self, base: str) -> Model:
        from maskfork.prompt.score import load_decoder

        if base not in self._models:
            self._models[base] = load_decoder(find_base(base))
        return self._models[base]

    def likelihoods(
        self, task: PromptTask, asked: PromptedClassifier, held_out: HeldOut, progress: Progress
    ) -> NDArray[np.float64]:
        """log p(label words | prompt) in each order of the examples, [O, N, C]."""
        about = None if task.about is None else task.about.to_yaml()
        key = (task.decoder, task.label_words, task.shots, about, held_out.digest())
        if key not in self._asked:
            texts, pairs, count = held_out.texts, held_out.pairs, len(held_out)
            out = []
            for start in range(0, count, _STEP):
                part = slice(start, start + _STEP)
                out.append(asked.by_order(texts[part], None if pairs is None else pairs[part]))
                progress(0.1 + 0.9 * start / count, f"{min(start + _STEP, count)} of {count} texts")
            self._asked[key] = np.concatenate(out, axis=1)
        return self._asked[key]


class PromptedContender(Contender):
    """base: a decoder's folder or Hub id. max_shots: the most examples put into one prompt.

    decoders: shared by the contenders of one comparison, so that each decoder is loaded once. task: a description whose labels
    are those of the data.
    """

    def __init__(
        self,
        base: str,
        decoders: Decoders,
        *,
        calibrate: bool,
        max_shots: int = 32,
        label_words: Mapping[str, str] | None = None,
        task: TaskDescription | None = None,
    ) -> None:
        self.base = base
        self.task = task
        self.decoders = decoders
        self.kind: Kind = "prompt"
        self.series = f"prompted {short_name(base)}{', calibrated' if calibrate else ''}"
        self.calibrate = calibrate
        self.max_shots = max_shots
        self.label_words = dict(label_words or {})

    @property
    def same_work(self) -> str:
        return f"prompted {self.base}"

    def needs(self) -> Sequence[Path]:
        return (find_base(self.base),)

    def why_not(self, budget: int, train: Rows) -> str | None:
        chooses = self.task is not None and self.task.how.select != "given"  # from as many rows as there are
        return None if chooses else too_many(budget, self.max_shots)

    def check(self, train: Rows) -> None:
        check_words(self.label_words, train)
        if self.task is not None:
            check_task(self.task, train)
        check_decoder(self.base)

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 2,
            "task": None if self.task is None else self.task.as_dict(),
            "base": digest(find_base(self.base)),
            "calibrate": self.calibrate,
            "label_words": self.label_words,
            "torch": version("torch"),
        }

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        size = tokens(held_out.texts, held_out.pairs) + 10  # the shared prefix is computed once
        per_text = 2 * compute_parameters(find_base(self.base)) * size
        return 0.5 + per_text * (len(held_out) + budget) / flops_per_second()

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        from maskfork.prompt.score import calibrated

        started = time.perf_counter()
        progress(0.0, "reading the prompt")
        said = {} if self.task is None else {label.name: label.said for label in self.task.labels}
        words = words_of(train.label_names, {**said, **self.label_words})
        task = PromptTask(self.base, train.label_names, words, examples(train, seed), self.calibrate, self._about(seed))
        model = task.build(self.decoders.model(self.base))
        predictor = PromptedPredictor(task, model, digest(find_base(self.base)))
        fit_seconds = time.perf_counter() - started
        found = self.decoders.likelihoods(task, model, held_out, progress)
        priors = model.priors(held_out.texts, held_out.pairs) if self.calibrate else None
        probs = calibrated(found, priors).mean(0).astype(np.float32)
        return Outcome(probs, predictor, fit_seconds, None, tuple(model.notes))

    def open(self, folder: Path) -> PromptedPredictor:
        return PromptedPredictor.open(folder, self.decoders.model)

    def _about(self, seed: int) -> TaskDescription | None:
        if self.task is None:
            return None
        how = self.task.how
        return replace(self.task, how=how.but(shots=how.shots or self.max_shots, seed=seed))


def too_many(budget: int, max_shots: int) -> str | None:
    """Why a prompt cannot use so many labelled rows, or None."""
    if budget > max_shots:
        return f"More labelled rows than go into one prompt as examples (--max-shots {max_shots})."
    return None


def check_words(label_words: Mapping[str, str], train: Rows) -> None:
    """Raise UsageError for words of a label that the data does not have."""
    unknown = [name for name in label_words if name not in train.label_names]
    if unknown:
        have = ", ".join(train.label_names[:10])
        raise UsageError(f"--label-words names the label {unknown[0]!r}, which the data does not have: it has {have}.")


def check_task(task: TaskDescription, train: Rows) -> None:
    """Raise UsageError for a description that is not of these labels, or whose answers are not read by their likelihood."""
    if task.output != "label" or task.how.writes:
        raise UsageError("a comparison reads one label by its likelihood: leave output, samples and reason out of the task")
    if set(task.label_names) != set(train.label_names):
        theirs, ours = ", ".join(task.label_names[:10]), ", ".join(train.label_names[:10])
        raise UsageError(f"the task has the labels {theirs} and the data has {ours}: give the task the names that the data has")


def words_of(label_names: Sequence[str], label_words: Mapping[str, str]) -> tuple[str, ...]:
    """What stands for each label in a prompt."""
    return tuple(label_words.get(name, name) for name in label_names)


def examples(train: Rows, seed: int) -> tuple[Shot, ...]:
    """The labelled rows as examples, in an order drawn by the seed (order matters: Lu et al. 2022)."""
    order = np.random.default_rng(seed).permutation(len(train))
    pairs = train.pairs
    return tuple((train.texts[i], pairs[i] if pairs else None, int(train.labels[i])) for i in order)
