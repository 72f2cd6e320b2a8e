"""A temperature where no row can be kept back: each half of the rows is answered by a model that learnt the other half.

A model that has seen few rows many times is as good as certain of everything: on 64 rows of SST-2 a fine-tuned MiniLM is right
in two of three new texts and needs a temperature of 12. Two halves for as many epochs cost one training more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.calibration import fit_temperature

S = TypeVar("S", bound=FineTuneSettings)
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
LEAST = 8  # rows that say something of a temperature


def halves(labels: IntArray, seed: int) -> tuple[IntArray, IntArray]:
    """The places of the rows [N], in two halves of each label; a label's odd row goes where fewer are."""
    rng = np.random.default_rng([seed, 11])
    first: list[int] = []
    second: list[int] = []
    for label in np.unique(labels):
        own = rng.permutation(np.flatnonzero(labels == label)).tolist()
        small, large = sorted((first, second), key=len)
        small += own[::2]
        large += own[1::2]
    return np.sort(np.array(first, dtype=np.int64)), np.sort(np.array(second, dtype=np.int64))


def for_half(settings: S, rows: int, half: int) -> S:
    """Settings with which `half` rows are seen as often as all `rows` of them, in batches of one size."""
    size, (steps, _) = settings.rows_a_step(rows), settings.steps(rows)
    return replace(settings, batch_size=size).in_steps(max(1, round(steps * half / rows)))


def temperature_of_halves(
    labels: IntArray, settings: S, seed: int, answered: Callable[[IntArray, IntArray, S, int], npt.ArrayLike]
) -> float | None:
    """The temperature [>= 1] for a model that learnt all N rows; None where too few have a label that both halves know.

    `answered(learnt, asked, settings, number)` trains a model on the rows `learnt` and gives its logits [n, C] of the rows
    `asked`. Below 1 would make it surer than it says it is, and so few rows do not prove that.
    """
    parts = halves(labels, seed)
    found: list[FloatArray] = []
    truth: list[IntArray] = []
    known = [np.isin(labels[asked], labels[learnt]) for learnt, asked in (parts, parts[::-1])]
    if sum(int(both.sum()) for both in known) < LEAST or min(len(np.unique(labels[part])) for part in parts) < 2:
        return None
    for number, ((learnt, asked), both) in enumerate(zip((parts, parts[::-1]), known, strict=True)):
        own = for_half(settings, len(labels), len(learnt))
        found.append(np.asarray(answered(learnt, asked[both], own, number), dtype=np.float64))
        truth.append(labels[asked[both]])
    return max(1.0, float(fit_temperature(np.concatenate(found), np.concatenate(truth))))


def said_of_halves(temperature: float) -> str:
    """What the log and the card say."""
    return f"probabilities calibrated on all rows, each half answered by a model of the other (temperature {temperature:.2f})"
