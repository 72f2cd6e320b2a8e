"""Does a candidate still answer as the original does? With labels by its accuracy, else by how often both say the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from maskfork.measure.intervals import Interval, wilson
from maskfork.measure.means import mean_difference
from maskfork.measure.multilabel import jaccard
from maskfork.measure.paired import difference_interval

#: vectors this alike, and numbers this near (of the original's spread), are the same answer
ALIKE, NEAR = 0.99, 0.02


#: of a text: its label (None: none fits), or its several labels
Label = str | None | tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """What a model said of N rows: answers by their keys, labels (None where it gives none), the numbers behind [N, C]."""

    keys: tuple[str, ...]
    labels: tuple[Label, ...] | None
    numbers: np.ndarray | None


@dataclass(frozen=True)
class Verdict:
    """Of N rows, shares in [0, 1].

    `accuracy` and `drop` (the original's less the candidate's, with its paired interval) where labels are known. `agreement`: the
    share of rows that both answer alike. `worst`: the largest change of a number. `refused`: why, in words, or None.
    `proved`: the whole interval keeps within what was allowed. Of what writes: the `loss`, nats a token, and its `rise`.
    """

    agreement: Interval
    worst: float | None = None
    accuracy: float | None = None
    drop: Interval | None = None
    refused: str | None = None
    proved: bool = False
    loss: float | None = None
    rise: Interval | None = None


def judge(
    original: Heard,
    candidate: Heard,
    truth: Sequence[Label] | None,
    *,
    max_drop: float,
    least_agreement: float,
    strict: bool = False,
) -> Verdict:
    """`max_drop` in points. A candidate that loses more of the rows is refused; with `strict` also one whose interval goes on.

    Without labels it is refused below `least_agreement` (a share). A number that is not finite refuses always.
    """
    same = _same(original, candidate)
    agreement = wilson(int(same.sum()), len(same))
    worst = None
    if original.numbers is not None and candidate.numbers is not None and original.numbers.shape == candidate.numbers.shape:
        worst = float(np.abs(original.numbers.astype(np.float64) - candidate.numbers).max())
    if candidate.numbers is not None and not np.isfinite(candidate.numbers).all():
        return Verdict(agreement, None, refused="some of its numbers are not finite")
    if truth is None or original.labels is None or candidate.labels is None:
        proved = agreement.low >= least_agreement
        why = None
        if agreement.value < least_agreement or (strict and not proved):
            why = (
                f"it answers {agreement.value:.2%} [{agreement.low:.2%}, {agreement.high:.2%}] of the rows as the original does, "
                f"and {least_agreement:.2%} are asked for"
            )
        return Verdict(agreement, worst, refused=why, proved=proved)
    if any(isinstance(true, tuple) for true in truth):
        return _several(original.labels, candidate.labels, truth, agreement, worst, max_drop, strict=strict)
    index = {name: i for i, name in enumerate(sorted({name or "" for name in (*truth, *original.labels, *candidate.labels)}))}
    right, before, after = ([index[name or ""] for name in names] for names in (truth, original.labels, candidate.labels))
    drop = difference_interval(before, after, right, retrained=False)
    accuracy = float(np.mean(np.array(after) == np.array(right)))
    return _lost(agreement, worst, accuracy, drop, max_drop, strict=strict)


def _several(
    before: Sequence[Label], after: Sequence[Label], truth: Sequence[Label], agreement: Interval, worst: float | None,
    max_drop: float, *, strict: bool,
) -> Verdict:  # fmt: skip
    """Several labels a text: a row is right by the share of its labels, said or true, that are both (Jaccard)."""

    def right(said: Sequence[Label]) -> list[float]:
        return [jaccard(set(own or ()), set(true or ())) for own, true in zip(said, truth, strict=True)]

    old, new = right(before), right(after)
    return _lost(agreement, worst, float(np.mean(new)), mean_difference(old, new), max_drop, strict=strict)


def _lost(
    agreement: Interval, worst: float | None, accuracy: float, drop: Interval, max_drop: float, *, strict: bool
) -> Verdict:  # fmt: skip
    allowed = max_drop / 100
    proved = drop.high <= allowed
    why = None
    if drop.value > allowed + 1e-12 or (strict and not proved):
        why = (
            f"it loses {100 * drop.value:.2f} points of accuracy [{100 * drop.low:+.2f}, {100 * drop.high:+.2f}], "
            f"and {max_drop:g} are allowed"
        )
    return Verdict(agreement, worst, accuracy, drop, why, proved)


def _same(original: Heard, candidate: Heard) -> np.ndarray:
    """bool [N]: rows that both answer alike."""
    keys = np.array([a == b for a, b in zip(original.keys, candidate.keys, strict=True)])
    a, b = original.numbers, candidate.numbers
    if original.labels is not None or a is None or b is None:
        return keys
    if a.shape != b.shape:
        return np.zeros(len(keys), dtype=np.bool_)
    if a.shape[1] == 1:
        spread = float(a.std()) or 1.0
        near: np.ndarray = keys & (np.abs(a - b)[:, 0] <= NEAR * spread)
        return near
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    alike: np.ndarray = keys & ((a * b).sum(1) >= ALIKE * lengths)
    return alike
