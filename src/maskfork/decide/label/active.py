"""Spending few questions well: the teacher is asked where a small student, trained on what is labelled so far, is unsure.

The first texts are the middles of clusters, so that all kinds are seen. Then, in rounds, a linear student on frozen vectors is
fitted to the labels so far; of the texts that it is least sure of (`unsure`) the middles of clusters are asked, so that a round
does not ask the same thing many times (Cluster-Margin, Citovsky et al. 2021). docs/log.md has the ways that were tried.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from maskfork.decide.label.unsure import unsure_of
from maskfork.errors import UsageError
from maskfork.learn.tasks.common.contract import part_of
from maskfork.prompt.teachers.outcome import Outcome
from maskfork.prompt.teachers.parts import among, joined
from maskfork.prompt.teachers.teacher import Progress

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
    teacher: Answering[F],
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    vectors: npt.NDArray[np.float32],
    budget: int,
    *,
    seed: int = 0,
    progress: Step = lambda share, doing: None,
) -> tuple[F, list[Round]]:
    """Answers for all N texts, `NOT_CHOSEN` but for `budget` of them, and the rounds. `vectors` [N, E].

    Equal arguments choose equal texts, so a run that was stopped repeats itself out of the answers that are kept. Raises
    UsageError for a budget under 10 or of all texts.
    """
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
        own = part_of(progress, len(asked) / budget, (len(asked) + size) / budget)
        moved = asking(own, f"round {len(rounds) + 1}: asking")
        found = teacher.label([texts[i] for i in chosen], None if pairs is None else [pairs[i] for i in chosen], moved)
        asked += chosen.tolist()
        parts.append(found)
        labelled = sum(int(part.labelled.sum()) for part in parts)
        rounds.append(Round(len(chosen), labelled, None if unsure is None else float(unsure.mean())))
        if found.stopped is not None:
            break
    return among(joined(parts), np.array(asked, dtype=np.int64), len(texts), NOT_CHOSEN), rounds


def check_budget(budget: int, count: int) -> None:
    """Raises UsageError for fewer than 10 texts, and for all of them."""
    if not LEAST <= budget < count:
        raise UsageError(f"--active asks for {LEAST} texts or more, and fewer than the {count:,} there are, not {budget:,}")


def asking(progress: Step, doing: str = "asking the teacher") -> Progress:
    """A teacher's count of answers as a share of what is being done."""
    return lambda done, wanted: progress(done / max(1, wanted), doing)


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
