"""Train, validation and test rows of tasks whose rows have no class: rows of one key (a text, a paragraph) stay together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.learn.data.split import stratified, test_size
from maskfork.learn.tasks.common.contract import Examples, Sources, Split
from maskfork.learn.train.settings import FineTuneSettings

E = TypeVar("E", bound=Examples)
IntArray = npt.NDArray[np.int64]


def divided(parts: Mapping[str, E], keys: Callable[[E], Sequence[str]], sources: Sources, notes: Sequence[str]) -> Split[E]:
    """The split from what was read of `train` and, where they were given, `validation` and `test`.

    Without a test file `sources.test_share` of the keys is held out. Train rows whose key is held out, for test or for
    validation, are removed and counted. Raises DataError where nothing is left to train on.
    """
    said = list(notes)
    train, validation, test = parts["train"], parts.get("validation"), parts.get("test")
    name = sources.train.name
    if sources.judged_only and test is not None:
        return Split(train.take(np.array([], dtype=np.int64)), None, test, tuple(said))
    if test is None:
        inside, out = hold_out(keys(train), sources.test_share, sources.seed)
        train, test = train.take(inside), train.take(out)
        how = f"a sample of {name}"
    else:
        how = f"all rows of {sources.test.name if sources.test else 'the test file'}"
    kept, gone = without_leaks(keys(train), [key for part in (validation, test) if part is not None for key in keys(part)])
    if not len(kept):
        raise DataError(f"{name}: no row is left to train on, because all of its texts are held out; give other rows.")
    if gone is not None:
        train = train.take(kept)
        said.append(gone)
    said.append(f"Held out: {len(test):,} rows, {how}; {len(train):,} rows to train on.")
    return Split(train, validation, test, tuple(said))


def each(sources: Sources, read: Callable[[Path], tuple[E, Sequence[str]]]) -> tuple[dict[str, E], list[str]]:
    """What `read(path)` gives of every file that was given, by its part's name, and all that is said of them."""
    parts: dict[str, E] = {}
    notes: list[str] = []
    for name, path in (("train", sources.train), ("validation", sources.validation), ("test", sources.test)):
        if path is not None:
            parts[name], said = read(path)
            notes += said
    return parts, notes


def with_validation(split: Split[E], keys: Callable[[E], Sequence[str]], settings: FineTuneSettings, seed: int) -> tuple[E, E]:
    """(rows to train on, rows to validate on): the split's own, else some of train are kept back."""
    if split.validation is not None:
        return split.train, split.validation
    inside, back = kept_back(keys(split.train), settings, seed)
    return split.train.take(inside), split.train.take(back)


def without_leaks(keys: Sequence[str], held: Sequence[str]) -> tuple[IntArray, str | None]:
    """(rows whose key is not held out, the sentence on those that were; None where there is none)"""
    away = set(held)
    kept = np.array([i for i, key in enumerate(keys) if key not in away], dtype=np.int64)
    gone = len(keys) - len(kept)
    one = "1 row is" if gone == 1 else f"{gone:,} rows are"
    return kept, f"{one} removed from train because exactly that text is held out." if gone else None


def hold_out(keys: Sequence[str], share: float, seed: int) -> tuple[IntArray, IntArray]:
    """(rows to learn from, rows held out): about `share` of them, rows of one key on one side. Raises DataError for the share."""
    return stratified(np.zeros(len(keys), dtype=np.int64), _units(keys), test_size(len(keys), share), seed)


def kept_back(keys: Sequence[str], settings: FineTuneSettings, seed: int) -> tuple[IntArray, IntArray]:
    """(rows to train on, rows to validate on), none of the latter where fewer than `settings.validation_min` would be."""
    wanted = settings.kept_back(len(keys))
    if not wanted:
        return np.arange(len(keys)), np.array([], dtype=np.int64)
    return stratified(np.zeros(len(keys), dtype=np.int64), _units(keys), wanted, seed)


def _units(keys: Sequence[str]) -> IntArray:
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)
