"""What every contender is: something that learns from labelled rows and answers texts.

A contender gets the held-out rows as `HeldOut`, which has no labels in it: it cannot look at what it does not hold.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from maskfork.learn.data.rows import Rows

Kind = Literal["fine-tune", "probe", "tf-idf", "prompt", "endpoint"]
Progress = Callable[[float, str], None]  # share done in [0, 1], what is being done

TRAINED: tuple[Kind, ...] = ("fine-tune", "probe", "tf-idf")
"""Kinds that fit weights: they need labelled rows of every label. The others read labels in their prompt."""


@dataclass(frozen=True)
class HeldOut:
    """The texts of the held-out rows, and nothing else of them.

    texts: N texts. pairs: N second texts, or None.
    """

    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def digest(self) -> str:
        """sha256 (hex) of the texts and pairs, in order."""
        digest = hashlib.sha256()
        for column in (self.texts, self.pairs or ()):
            digest.update(f"{len(column)};".encode())
            for text in column:
                raw = text.encode("utf-8", "surrogatepass")
                digest.update(f"{len(raw)}:".encode())
                digest.update(raw)
        return digest.hexdigest()


class Predictor(Protocol):
    """A fitted contender: what is measured, saved, and served."""

    @property
    def label_names(self) -> tuple[str, ...]: ...

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> NDArray[Any]:
        """Probabilities [N, C] in the order of the label names."""
        ...

    def save(self, folder: Path) -> object:
        """Write everything that predicting needs into the folder, which exists and is empty."""
        ...


@dataclass
class Outcome:
    """What one run (one budget, one seed) gave.

    probs: float32 [N, C] for the held-out rows, rows sum to 1. validation: a score on labelled rows that were kept
    back from fitting (never on held-out rows), or None. usage: what an endpoint counted, such as tokens and latency.
    answered: bool [N], False where no label was given (such a row counts as wrong); None where all were.
    """

    probs: NDArray[np.float32]
    predictor: Predictor
    fit_seconds: float
    validation: float | None = None
    notes: tuple[str, ...] = ()
    usage: Mapping[str, float] = field(default_factory=dict)
    answered: NDArray[np.bool_] | None = None


class Contender(ABC):
    """One recipe. Its series is its learning curve over label budgets."""

    series: str
    kind: Kind
    base: str

    @property
    def trained(self) -> bool:
        return self.kind in TRAINED

    @property
    def remote(self) -> bool:
        """Whether another machine does the work, so that memory, disk and price per hour here say nothing."""
        return self.kind == "endpoint"

    @property
    def same_work(self) -> str:
        """Contenders with one value here do the same work at a budget, so that one measurement of speed serves both."""
        return self.series

    def needs(self) -> Sequence[Path]:
        """Folders beside the saved model that it cannot do without (a decoder that is only referred to)."""
        return ()

    def why_not(self, budget: int, train: Rows) -> str | None:
        """A sentence that says why this budget does not apply, or None where it does."""
        if not self.trained:
            return None
        if budget == 0:
            return "Nothing can be trained without labels; only prompted models answer at 0."
        if budget < train.num_classes:
            return f"So few rows cannot hold one of each of the {train.num_classes} labels."
        return None

    def seeds_matter(self, budget: int, train: Rows) -> bool:
        """Whether another seed can give another result; where not, one run stands for all seeds."""
        return budget > 0

    def check(self, train: Rows) -> None:  # noqa: B027 (nothing to check is a fair answer)
        """Raise a MaskforkError for anything that is wrong before work starts: no such model, wrong kind of model."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that decides the results besides rows, budget and seed: recipe, settings, digest of the base model.

        Plain JSON values. Two contenders with equal identities give equal results, so finished runs are reused.
        """

    @abstractmethod
    def seconds(self, budget: int, held_out: HeldOut) -> float:
        """A rough guess of the seconds that one run takes; it orders the runs and feeds the first estimate."""

    @abstractmethod
    def run(self, train: Rows, held_out: HeldOut, *, seed: int, progress: Progress) -> Outcome:
        """Fit on `train` (every label that the budget pays for, validation included) and answer the held-out texts."""

    @abstractmethod
    def open(self, folder: Path) -> Predictor:
        """The predictor that `Predictor.save` wrote, ready to be measured."""
