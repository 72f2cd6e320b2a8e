"""A decoder prompted with the labels' names and, at larger budgets, with the labelled rows as examples."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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

if TYPE_CHECKING:
    from maskfork.models.model import Model
    from maskfork.prompt.score import PromptedClassifier

Shot = tuple[str, str | None, int]  # text, second text of a pair, label number
_STEP = 64  # texts between two reports of progress


@dataclass(frozen=True)
class PromptTask:
    """All that turns a decoder into a classifier; saved as prompt.json, the decoder itself by its path or id.

    label_words: what the decoder is to write for each label. calibrate: contextual calibration (Zhao et al. 2021).
    """

    decoder: str
    label_names: tuple[str, ...]
    label_words: tuple[str, ...]
    shots: tuple[Shot, ...]
    calibrate: bool

    def build(self, decoder: Model | Path) -> PromptedClassifier:
        from maskfork.prompt.score import PromptedClassifier

        return PromptedClassifier(decoder, self.label_names, self.shots, label_words=self.label_words, calibrate=self.calibrate)


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
            task = PromptTask(str(said["decoder"]), tuple(labels), words, shots, bool(said["calibrate"]))
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
    _asked: dict[tuple[Any, ...], tuple[NDArray[np.float64], NDArray[Any]]] = field(default_factory=dict)

    def model(self, base: str) -> Model:
        from maskfork.prompt.score import load_decoder

        if base not in self._models:
            self._models[base] = load_decoder(find_base(base))
        return self._models[base]

    def likelihoods(
        self, task: PromptTask, asked: PromptedClassifier, held_out: HeldOut, progress: Progress
    ) -> NDArray[np.float64]:
        """log p(label words | prompt) [N, C]; the content-free prior is shared too."""
        key = (task.decoder, task.label_words, task.shots, held_out.digest())
        if key not in self._asked:
            texts, pairs, count = held_out.texts, held_out.pairs, len(held_out)
            # like lengths together, so that little padding is computed, and short steps, so that progress shows
            order = np.argsort([-len(text) for text in texts], kind="stable")
            out = np.empty((count, len(task.label_names)))
            for start in range(0, count, _STEP):
                part = order[start : start + _STEP]
                beside = None if pairs is None else [pairs[i] for i in part]
                out[part] = asked.label_logprobs([texts[i] for i in part], beside)
                progress(0.1 + 0.9 * start / count, f"{start + len(part)} of {count} texts")
            self._asked[key] = out, asked.prior()
        found, asked._prior = self._asked[key]
        return found


class PromptedContender(Contender):
    """base: a decoder's folder or Hub id. max_shots: the most examples put into one prompt.

    decoders: shared by the contenders of one comparison, so that each decoder is loaded once.
    """

    def __init__(
        self,
        base: str,
        decoders: Decoders,
        *,
        calibrate: bool,
        max_shots: int = 32,
        label_words: Mapping[str, str] | None = None,
    ) -> None:
        self.base = base
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
        return too_many(budget, self.max_shots)

    def check(self, train: Rows) -> None:
        check_words(self.label_words, train)
        check_decoder(self.base)

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 1,
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
        started = time.perf_counter()
        progress(0.0, "reading the prompt")
        words = words_of(train.label_names, self.label_words)
        task = PromptTask(self.base, train.label_names, words, examples(train, seed), self.calibrate)
        model = task.build(self.decoders.model(self.base))
        predictor = PromptedPredictor(task, model, digest(find_base(self.base)))
        fit_seconds = time.perf_counter() - started
        found = self.decoders.likelihoods(task, model, held_out, progress)
        probs = model.probabilities(found, calibrate=self.calibrate)
        return Outcome(probs, predictor, fit_seconds, None, tuple(model.notes))

    def open(self, folder: Path) -> PromptedPredictor:
        return PromptedPredictor.open(folder, self.decoders.model)


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


def words_of(label_names: Sequence[str], label_words: Mapping[str, str]) -> tuple[str, ...]:
    """What stands for each label in a prompt."""
    return tuple(label_words.get(name, name) for name in label_names)


def examples(train: Rows, seed: int) -> tuple[Shot, ...]:
    """The labelled rows as examples, in an order drawn by the seed (order matters: Lu et al. 2022)."""
    order = np.random.default_rng(seed).permutation(len(train))
    pairs = train.pairs
    return tuple((train.texts[i], pairs[i] if pairs else None, int(train.labels[i])) for i in order)
