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
from maskfork.prompt.teachers.cost import Preview
from maskfork.prompt.teachers.outcome import Answers, Outcome

Progress = Callable[[int, int], None]  # answers there, answers wanted


@dataclass(frozen=True)
class Labels(Outcome):
    """What a teacher says of N texts with C labels.

    `labels` int64 [N] is -1 where there is none, and `errors` then has the reason. `probs` [N, C] (uniform without a label),
    `confidence` [N] the label's own. `agreement` [N]: the share of the asked orders or samples that gave the label; NaN where
    a text was asked once. The other fields are those of `Outcome`.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float64]
    agreement: npt.NDArray[np.float64]

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        return self.labels >= 0

    @property
    def confidence(self) -> npt.NDArray[np.float64]:
        own: npt.NDArray[np.float64] = self.probs[np.arange(len(self)), np.maximum(self.labels, 0)]
        return np.where(self.labelled, own, 0.0)

    @property
    def counts(self) -> dict[str, int]:
        return {name: int((self.labels == i).sum()) for i, name in enumerate(self.names)}

    @property
    def by_row(self) -> Mapping[str, Any]:
        return {**super().by_row, "labels": -1, "probs": 1.0 / len(self.names), "agreement": np.nan}


class AnyTeacher(ABC):
    """Somebody who answers what a task asks of a text."""

    name: str
    description: TaskDescription

    @abstractmethod
    def preview(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> Preview | None:
        """What labelling would cost, without asking; None of a teacher that costs nothing but time."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """Plain values that decide the answers: equal identities give equal labels."""


class Teacher(AnyTeacher):
    """Somebody who labels. `description.output` is one label."""

    @abstractmethod
    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Labels:
        """Label all texts. What was answered is kept (where a folder for it was given) and not asked again."""


class FormTeacher(AnyTeacher):
    """Somebody who answers. `description.output` is several labels, spans, or a JSON schema."""

    @abstractmethod
    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> Answers:
        """Answer for all texts. What was answered is kept (where a folder for it was given) and not asked again."""


def check_one_label(description: TaskDescription) -> None:
    """Raises UsageError where the task asks for anything but one label of several."""
    if description.output != "label" or len(description.labels) < 2:
        said = description.output if isinstance(description.output, str) else "a JSON schema"
        raise UsageError(
            f"one label of several is wanted here, and this task asks for {said} with {len(description.labels)} labels: leave "
            "`output` out and name two labels or more, or use `maskfork label`, whose file `maskfork train` reads"
        )


def check_turns(orders: int, samples: int, temperature: float) -> None:
    """Raises UsageError for both orders and samples, and for samples that cannot differ."""
    if samples < 1 or (orders > 1 and samples > 1):
        raise UsageError("a text is asked in several orders or for several samples, and not both")
    if samples > 1 and not temperature > 0.0:
        raise UsageError("samples differ at a temperature above 0 alone: raise it, or ask in several orders instead")


def sampled(description: TaskDescription, samples: int, temperature: float, answer_tokens: int | None) -> TaskDescription:
    """The task with so many drawn answers, one being none, and its longest answer where one is given."""
    how = description.how.but(max_tokens=answer_tokens)
    return replace(description, how=how if samples == 1 else how.but(samples=samples, temperature=temperature))


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


def in_orders(task: TaskDescription, turns: int) -> list[TaskDescription]:
    """The task with its labels and examples in each of so many orders."""
    return [
        replace(task, labels=tuple(task.labels[i] for i in order), examples=tuple(task.examples[i] for i in shown))
        for order, shown in orders_of(len(task.labels), len(task.examples), turns)
    ]
