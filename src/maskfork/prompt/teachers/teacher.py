"""A teacher labels texts: a decoder in a folder, one of the Hub, or a model behind an OpenAI-compatible endpoint."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import factorial
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.errors import UsageError
from maskfork.prompt.tasks.description import TaskDescription
from maskfork.prompt.teachers.classified import OUTSIDE
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.messages import Usage

Progress = Callable[[int, int], None]  # answers there, answers wanted


@dataclass(frozen=True)
class Labels:
    """What a teacher says of N texts with C labels.

    `labels` int64 [N] is -1 where there is none, and `errors` then has the reason. `probs` [N, C] (uniform without a label),
    `confidence` [N] the label's own. `agreement` [N]: the share of the asked orders or samples that gave the label; NaN where
    a text was asked once. `costs` [N] and `usage` are what each row took, also where it was paid earlier (None: not known);
    `spent` is what was paid now. `latencies_ms` [N]: the time of a row's calls when they were made, NaN where that is not
    known. `stopped` says why the rest was not asked (the highest cost, an endpoint that went down).
    """

    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]
    errors: tuple[str | None, ...]
    latencies_ms: npt.NDArray[np.float64]
    usage: Usage | None = None
    costs: npt.NDArray[np.float64] | None = None
    spent: float | None = None
    notes: tuple[str, ...] = ()
    stopped: str | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """[N]"""
        return self.labels >= 0

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        """[N]: the probability of the label; 0 without one."""
        own: npt.NDArray[np.float64] = self.probs[np.arange(len(self)), np.maximum(self.labels, 0)]
        return np.where(self.labelled, own, 0.0)

    @property
    def outside(self) -> int:
        """Rows that are not labelled because of what was answered."""
        return sum(error is not None and error.startswith(OUTSIDE) for error in self.errors)

    @property
    def failed(self) -> int:
        """Rows that are not labelled because no answer came, or none was asked for."""
        return len(self) - int(self.labelled.sum()) - self.outside

    @property
    def cost(self) -> float | None:
        """Of all rows, as if each was paid now; None where that is not known."""
        return None if self.costs is None or np.isnan(self.costs).any() else float(self.costs.sum())


class Teacher(ABC):
    """Somebody who labels. `description.output` is one label."""

    name: str
    description: TaskDescription

    @abstractmethod
    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Labels:
        """Label all texts. What was answered is kept (where a folder for it was given) and not asked again."""

    @abstractmethod
    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview | None:
        """What labelling would cost, without asking; None of a teacher that costs nothing but time."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Plain values that decide the answers: equal identities give equal labels."""


def check_one_label(description: TaskDescription) -> None:
    """Raises UsageError where the task asks for anything but one label of several."""
    if description.output != "label" or len(description.labels) < 2:
        said = description.output if isinstance(description.output, str) else "a JSON schema"
        raise UsageError(
            f"a teacher gives one label of several, and this task asks for {said} with {len(description.labels)} labels: leave "
            "`output` out and name two labels or more, or ask with `maskfork prompt`, whose file `maskfork train` reads"
        )


def pooled(turns: Sequence[Labels]) -> Labels:
    """One opinion of several orders or samples of the same N texts: the mean of their probabilities, and how many agree."""
    first = turns[0]
    if len(turns) == 1:
        return first
    answered = np.stack([turn.labelled for turn in turns])  # [K, N]
    counted = answered.sum(0)
    summed = (np.stack([turn.probs for turn in turns]) * answered[:, :, None]).sum(0)
    probs = np.where(counted[:, None] > 0, summed / np.maximum(counted, 1)[:, None], first.probs)
    labels = np.where(counted > 0, probs.argmax(1), -1).astype(np.int64)
    agree = (np.stack([turn.labels for turn in turns]) == labels).sum(0) / np.maximum(counted, 1)
    errors = [
        next((turn.errors[i] for turn in turns if turn.errors[i]), None) if labels[i] < 0 else None for i in range(len(first))
    ]
    usage = None
    for turn in turns:
        usage = turn.usage if usage is None else usage if turn.usage is None else usage + turn.usage
    spent = [turn.spent for turn in turns if turn.spent is not None]
    costs = [turn.costs for turn in turns if turn.costs is not None]
    return replace(
        first,
        labels=labels,
        probs=probs,
        agreement=np.where(counted > 1, agree, np.nan),
        errors=tuple(errors),
        latencies_ms=np.sum([turn.latencies_ms for turn in turns], axis=0),
        usage=usage,
        costs=np.sum(costs, axis=0) if len(costs) == len(turns) else None,
        spent=sum(spent) if len(spent) == len(turns) else None,
        notes=tuple(dict.fromkeys(note for turn in turns for note in turn.notes)),
        stopped=next((turn.stopped for turn in turns if turn.stopped), None),
    )


def orders_of(labels: int, examples: int, turns: int) -> list[tuple[list[int], list[int]]]:
    """For each turn the order of so many labels and of so many examples, no two turns alike; the first keeps the task's own.

    Raises UsageError where there are not so many.
    """
    if turns < 1 or turns > factorial(labels) * factorial(examples):
        most = factorial(labels) * factorial(examples)
        raise UsageError(
            f"{labels} labels and {examples} examples have {most:,} orders: ask in 1 to {most:,} of them, not {turns}"
        )
    rng = np.random.default_rng(0)
    found = [(list(range(labels)), list(range(examples)))]
    while len(found) < turns:
        order = (rng.permutation(labels).tolist(), rng.permutation(examples).tolist())
        if order not in found:
            found.append(order)
    return found
