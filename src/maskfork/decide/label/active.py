"""Spending few questions well: the teacher is asked where a small student, trained on what is labelled so far, is unsure.

The first texts are the middles of clusters, so that all kinds are seen. Then, in rounds, a linear student on frozen vectors is
fitted to the labels so far; of the texts that it is least sure of (`unsure`) the middles of clusters are asked, so that a round
does not ask the same thing many times (Cluster-Margin, Citovsky et al. 2021). docs/log.md has the ways that were tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from maskfork.decide.label.unsure import unsure_of
from maskfork.errors import UsageError
from maskfork.prompt.teachers.outcome import Answers, Outcome
from maskfork.prompt.teachers.teacher import FormTeacher, Labels, Progress, Teacher

NOT_CHOSEN = "not asked: the calls were spent on other texts"
LEAST = 10
_FIRST = 0.15  # of the budget, before there is a student
_ROUNDS = 12
_POOL = 10  # so many times the texts of a round are unsure enough to be clustered

Step = Callable[[float, str], None]  # share done, what is being done
F = TypeVar("F", bound=Outcome)
F_co = TypeVar("F_co", bound=Outcome, covariant=True)


class Answering(Protocol[F_co]):
    """Either kind of teacher."""

    def label(self, texts: Sequence[str], pairs: Sequence[str] | None = None, progress: Progress | None = None) -> F_co: ...


@dataclass(frozen=True)
class Round:
    """Texts asked in it, labels known after it, and how sure the student was of those it had to choose from (None: none yet)."""

    asked: int
    labelled: int
    mean_margin: float | None


def label_actively(
    teacher: Teacher,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vectors: npt.NDArray[np.float32],
    budget: int,
    *,
    seed: int = 0,
    progress: Step = lambda share, doing: None,
) -> tuple[Labels, list[Round]]:
    """Labels of all N texts, `NOT_CHOSEN` but for `budget` of them, and the rounds. `vectors` [N, E].

    Equal arguments choose equal texts, so a run that was stopped repeats itself out of the answers that are kept. Raises
    UsageError for a budget under 10 or of all texts.
    """
    parts, asked, rounds = _asked(teacher, texts, pairs, vectors, budget, seed, progress)
    return spread(parts, asked, len(texts), NOT_CHOSEN), rounds


def answer_actively(
    teacher: FormTeacher,
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vectors: npt.NDArray[np.float32],
    budget: int,
    *,
    seed: int = 0,
    progress: Step = lambda share, doing: None,
) -> tuple[Answers, list[Round]]:
    """The same of a teacher that gives several labels a text."""
    parts, asked, rounds = _asked(teacher, texts, pairs, vectors, budget, seed, progress)
    return joined(parts).among(asked, len(texts), NOT_CHOSEN), rounds


def check_budget(budget: int, count: int) -> None:
    """Raises UsageError for fewer than 10 texts, and for all of them."""
    if not LEAST <= budget < count:
        raise UsageError(f"--active asks for {LEAST} texts or more, and fewer than the {count:,} there are, not {budget:,}")


def _asked(
    teacher: Answering[F], texts: Sequence[str], pairs: Sequence[str] | None, vectors: npt.NDArray[np.float32], budget: int,
    seed: int, progress: Step,
) -> tuple[list[F], npt.NDArray[np.int64], list[Round]]:  # fmt: skip
    """What was said round by round, and of which texts [budget]."""
    check_budget(budget, len(texts))
    rng = np.random.default_rng([seed, 17])
    asked: list[int] = []
    parts: list[F] = []
    rounds: list[Round] = []
    for size in _sizes(budget):
        left = np.setdiff1d(np.arange(len(texts)), asked)
        unsure = None if not parts else unsure_of(vectors, asked, parts, left)
        progress(len(asked) / budget, f"round {len(rounds) + 1}: choosing")
        chosen = left[_choose(vectors[left], unsure, size, rng)]
        before = len(asked)

        def moved(done: int, wanted: int, before: int = before, size: int = size) -> None:
            progress((before + size * done / max(1, wanted)) / budget, f"round {len(rounds) + 1}: asking")

        found = teacher.label([texts[i] for i in chosen], None if pairs is None else [pairs[i] for i in chosen], moved)
        asked += chosen.tolist()
        parts.append(found)
        labelled = sum(int(part.labelled.sum()) for part in parts)
        rounds.append(Round(len(chosen), labelled, None if unsure is None else float(unsure.mean())))
        if found.stopped is not None:
            break
    return parts, np.array(asked, dtype=np.int64), rounds


def spread(parts: Sequence[Labels], where: npt.NDArray[np.int64], count: int, why: str) -> Labels:
    """Parts labelled one after the other, at their places [n] among `count` texts; `why` the others have no label."""
    first = parts[0]
    classes = len(first.names)
    labels = np.full(count, -1, dtype=np.int64)
    probs = np.full((count, classes), 1.0 / classes)
    agreement, latencies = np.full(count, np.nan), np.full(count, np.nan)
    errors: list[str | None] = [why] * count
    labels[where] = np.concatenate([part.labels for part in parts])
    probs[where] = np.concatenate([part.probs for part in parts])
    agreement[where] = np.concatenate([part.agreement for part in parts])
    latencies[where] = np.concatenate([part.latencies_ms for part in parts])
    for i, error in zip(where.tolist(), [error for part in parts for error in part.errors], strict=True):
        errors[i] = error
    costs = None
    if all(part.costs is not None for part in parts):
        costs = np.zeros(count)
        costs[where] = np.concatenate([part.costs for part in parts if part.costs is not None])
    return replace(
        _summed(parts),
        labels=labels,
        probs=probs,
        agreement=agreement,
        errors=tuple(errors),
        latencies_ms=latencies,
        costs=costs,
    )


def joined(parts: Sequence[Answers]) -> Answers:
    """Parts answered one after the other, as one."""
    costs = [part.costs for part in parts if part.costs is not None]
    return replace(
        _summed(parts),
        rows=tuple(row for part in parts for row in part.rows),
        errors=tuple(error for part in parts for error in part.errors),
        latencies_ms=np.concatenate([part.latencies_ms for part in parts]),
        costs=np.concatenate(costs) if len(costs) == len(parts) else None,
    )


def _summed(parts: Sequence[F]) -> F:
    """The first part, with what all of them took and said beside their rows."""
    first = parts[0]
    usage = first.usage
    for part in parts[1:]:
        usage = usage if part.usage is None else part.usage if usage is None else usage + part.usage
    spent = [part.spent for part in parts if part.spent is not None]
    return replace(
        first,
        usage=usage,
        spent=sum(spent) if spent else None,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        stopped=next((part.stopped for part in parts if part.stopped), None),
    )


def _sizes(budget: int) -> list[int]:
    """How many texts each round asks."""
    first = max(LEAST, round(_FIRST * budget))
    ends = np.round(np.linspace(min(first, budget), budget, _ROUNDS + 1)).astype(int)
    return [int(ends[0]), *(int(step) for step in np.diff(ends) if step > 0)]


def _choose(
    vectors: npt.NDArray[np.float32], unsure: npt.NDArray[np.float64] | None, size: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Places [size] among the texts that are left."""
    if unsure is None:
        return _middles(vectors, size, rng)
    pool = np.argsort(-unsure, kind="stable")[: _POOL * size]
    return np.asarray(pool[_middles(vectors[pool], size, rng)], dtype=np.int64)


def _middles(vectors: npt.NDArray[np.float32], size: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """The text nearest to the centre of each of `size` clusters; an empty cluster's place is drawn."""
    from sklearn.cluster import KMeans, MiniBatchKMeans

    if size >= len(vectors):
        return np.arange(len(vectors), dtype=np.int64)
    kind = KMeans if size <= 60 else MiniBatchKMeans
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="sklearn")  # fewer distinct texts than clusters
        made = kind(size, random_state=int(rng.integers(2**31)), n_init=1, max_iter=20).fit(vectors)
    own = np.linalg.norm(vectors - made.cluster_centers_[made.labels_], axis=1)
    order = np.lexsort((own, made.labels_))
    _, firsts = np.unique(made.labels_[order], return_index=True)
    found = order[firsts]
    rest = np.setdiff1d(np.arange(len(vectors)), found)
    return np.concatenate([found, rng.permutation(rest)[: size - len(found)]]).astype(np.int64)
