"""A decoder prompted with the labels' names and, at larger budgets, with the labelled rows as examples."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from maskfork.decide.compare.bases import (
    check_decoder,
    compute_parameters,
    digest,
    find_base,
    flops_per_second,
    short_name,
    tokens,
)
from maskfork.decide.compare.contender import Contender, HeldOut, Kind, Outcome, Progress
from maskfork.errors import ModelError
from maskfork.learn.data.rows import Rows

if TYPE_CHECKING:
    from maskfork.prompt.score import PromptedClassifier

Shot = tuple[str, str | None, int]  # text, second text of a pair, label number


@dataclass(frozen=True)
class PromptTask:
    """All that turns a decoder into a classifier; saved as prompt.json, the decoder itself by its path or id."""

    decoder: str
    label_names: tuple[str, ...]
    shots: tuple[Shot, ...]
    template: str | None
    calibrate: bool

    def build(self) -> PromptedClassifier:
        from maskfork.prompt.score import PromptedClassifier

        return PromptedClassifier(self.decoder, self.label_names, self.shots, template=self.template, calibrate=self.calibrate)


class PromptedPredictor:
    """A prompted decoder that can be saved: the task as text, and where the decoder is."""

    def __init__(self, task: PromptTask, model: PromptedClassifier, decoder_digest: str) -> None:
        self.task = task
        self.label_names = task.label_names
        self.model = model
        self.decoder_digest = decoder_digest

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[np.float32]:
        """Probabilities [N, C]."""
        return self.model.predict(texts, pairs)

    def save(self, folder: Path) -> None:
        """maskfork.json and prompt.json. The decoder stays where it is; its digest is kept to know it again."""
        about = {"kind": "prompt", "labels": list(self.label_names), "base": self.task.decoder}
        (folder / "maskfork.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), "utf-8")
        said = {
            "decoder": self.task.decoder,
            "decoder_digest": self.decoder_digest,
            "shots": [list(shot) for shot in self.task.shots],
            "template": self.task.template,
            "calibrate": self.task.calibrate,
        }
        (folder / "prompt.json").write_text(json.dumps(said, ensure_ascii=False, indent=1), "utf-8")

    @classmethod
    def open(cls, folder: Path) -> PromptedPredictor:
        """Read what `save` wrote. Raises ModelError where a file is broken or the decoder is another one now."""
        try:
            labels = json.loads((folder / "maskfork.json").read_text("utf-8"))["labels"]
            said = json.loads((folder / "prompt.json").read_text("utf-8"))
            shots = tuple((str(text), pair, int(label)) for text, pair, label in said["shots"])
            task = PromptTask(str(said["decoder"]), tuple(labels), shots, said["template"], bool(said["calibrate"]))
            wanted = str(said["decoder_digest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} is not a whole prompted model ({error}): save it again.") from error
        if digest(find_base(task.decoder)) != wanted:
            raise ModelError(f"The decoder at {task.decoder} is not the one that {folder} was made with: compare again.")
        return cls(task, task.build(), wanted)


class PromptedContender(Contender):
    """base: a decoder's folder or Hub id. max_shots: the most examples put into one prompt.

    calibrate: divide by what the prompt says of an empty text (contextual calibration, Zhao et al. 2021).
    """

    def __init__(self, base: str, *, calibrate: bool, max_shots: int = 32, template: str | None = None) -> None:
        self.base = base
        self.kind: Kind = "prompt"
        self.series = f"prompted {short_name(base)}{', calibrated' if calibrate else ''}"
        self.calibrate = calibrate
        self.max_shots = max_shots
        self.template = template

    def why_not(self, budget: int, train: Rows) -> str | None:
        if budget > self.max_shots:
            return f"{budget} labelled rows are more examples than go into one prompt (--max-shots {self.max_shots})."
        return None

    def check(self, train: Rows) -> None:
        check_decoder(self.base)

    def identity(self) -> Mapping[str, Any]:
        return {
            "kind": self.kind,
            "recipe": 1,
            "base": digest(find_base(self.base)),
            "calibrate": self.calibrate,
            "template": self.template,
            "torch": version("torch"),
        }

    def seconds(self, budget: int, held_out: HeldOut) -> float:
        size = tokens(held_out.texts, held_out.pairs) + 10  # the shared prefix is computed once
        per_text = 2 * compute_parameters(find_base(self.base)) * size
        return 0.5 + per_text * (len(held_out) + budget) / flops_per_second()

    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        started = time.perf_counter()
        progress(0.0, "reading the prompt")
        task = PromptTask(self.base, train.label_names, shots(train, seed), self.template, self.calibrate)
        predictor = PromptedPredictor(task, task.build(), digest(find_base(self.base)))
        fit_seconds = time.perf_counter() - started
        progress(0.1, "answering")
        probs = predictor.predict(held_out.texts, held_out.pairs)
        return Outcome(probs, predictor, fit_seconds, None, tuple(predictor.model.notes))

    def open(self, folder: Path) -> PromptedPredictor:
        return PromptedPredictor.open(folder)


def shots(train: Rows, seed: int) -> tuple[Shot, ...]:
    """The labelled rows as examples, in an order drawn by the seed (order matters: Lu et al. 2022)."""
    order = np.random.default_rng(seed).permutation(len(train))
    pairs = train.pairs
    return tuple((train.texts[i], pairs[i] if pairs else None, int(train.labels[i])) for i in order)
