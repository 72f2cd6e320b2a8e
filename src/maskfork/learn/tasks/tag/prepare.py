"""Texts made ready: their windows, their units, and where in which window each unit is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskfork.learn.tasks.common.windows import PlacedWindows, cut, owners
from maskfork.learn.tasks.common.words import Place
from maskfork.learn.tasks.tag.settings import LabelOn
from maskfork.learn.tasks.tag.units import Units, units_of
from maskfork.models.encode import OnLong
from maskfork.models.model import Model

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """How a tagger reads: `limit` tokens at most, `stride` of them shared by two windows, a word by its `label_on` tokens."""

    limit: int | None = None
    on_long: OnLong = "chunk"
    stride: int = 64
    label_on: LabelOn = "first"


@dataclass(frozen=True)
class Prepared:
    """N texts: `window` and `place` [N] of [U] say where a unit's first token is read, -1 where no window holds it."""

    windows: PlacedWindows
    units: list[Units]
    window: list[IntArray]
    place: list[IntArray]


def prepare(model: Model, texts: Sequence[str], words: Sequence[Sequence[Place]], how: Reading) -> Prepared:
    """Raises DataError for a long text where `on_long` is "error"."""
    windows = cut(model, texts, limit=how.limit, on_long=how.on_long, stride=how.stride)
    units = [units_of(own, places) for own, places in zip(words, windows.places, strict=True)]
    read = [owners(windows, rows, own.first, own.last) for rows, own in zip(windows.of_text(), units, strict=True)]
    return Prepared(windows, units, [r[0] for r in read], [r[1] for r in read])


def tokens_of(prepared: Prepared, text: int, unit: int, label_on: LabelOn) -> range:
    """Places in its window's row of the tokens that a unit is judged by; none where it is not read."""
    start = int(prepared.place[text][unit])
    if start < 0:
        return range(0)
    if label_on == "first":
        return range(start, start + 1)
    window = int(prepared.window[text][unit])
    end = int(prepared.windows.at[window]) + len(prepared.windows.tokens[window])
    own = prepared.units[text]
    return range(start, min(end, start + int(own.last[unit] - own.first[unit])))


def rest_of(names: Sequence[str], *, bound: bool) -> IntArray:
    """The class of a unit's further tokens, [C]: I-x of B-x, else the same."""
    index = {name: i for i, name in enumerate(names)}
    return np.array([index["I" + n[1:]] if bound and n.startswith("B-") else i for i, n in enumerate(names)], dtype=np.int64)


def unit_logits(
    rows: Sequence[npt.NDArray[np.float32]], prepared: Prepared, rest: IntArray, label_on: LabelOn
) -> list[FloatArray]:
    """Logits [U, C] of each text's units, NaN where a unit is not read, from the logits [n, C] of each window's row.

    Over all tokens of a word: the mean of log-probabilities, of the class that each token has where the word has a class.
    """
    classes = len(rest)
    found: list[FloatArray] = []
    for text, own in enumerate(prepared.units):
        values = np.full((len(own), classes), np.nan)
        window, place = prepared.window[text], prepared.place[text]
        for w in np.unique(window[window >= 0]).tolist():
            here = np.flatnonzero(window == w)
            values[here] = rows[w][place[here]]
            if label_on == "all":
                logs = log_softmax(rows[w].astype(np.float64))
                for unit in here.tolist():
                    at = tokens_of(prepared, text, unit, label_on)
                    parts = [logs[at[0]], *(logs[i][rest] for i in at[1:])]
                    values[unit] = np.mean(parts, axis=0)
        found.append(values)
    return found


def log_softmax(values: npt.NDArray[np.floating]) -> FloatArray:
    """Over the last axis, float64."""
    wide = values.astype(np.float64)
    wide = wide - wide.max(-1, keepdims=True)
    return np.asarray(wide - np.log(np.exp(wide).sum(-1, keepdims=True)), dtype=np.float64)
