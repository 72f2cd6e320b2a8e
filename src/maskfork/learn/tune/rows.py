"""Rows to train trials on, more of them as a trial goes on, and rows to compare them on: all from train."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskfork.errors import DataError
from maskfork.learn.data.split import nested_budgets, stratified
from maskfork.learn.tasks.common.contract import Examples, Split

IntArray = NDArray[np.int64]
SHARE, MOST = 0.2, 1000  # of the train rows, to compare trials on
LEAST = 20
_RUNG_FROM = 600  # rows under which a part of them shows nothing, so every trial sees all


def labels_of(examples: Any) -> IntArray | None:
    """One class a row, int64, where the rows have that; rows that fit no class are left out."""
    for name in ("labels", "targets"):
        labels = getattr(examples, name, None)
        if isinstance(labels, np.ndarray) and labels.ndim == 1 and labels.dtype.kind == "i" and (labels >= 0).any():
            return labels[labels >= 0].astype(np.int64)
    return None


def _strata(examples: Any) -> IntArray:
    """What a split keeps in proportion, int64 [N]: what the rows say themselves, their labels, or nothing."""
    own = getattr(examples, "strata", None)
    labels = own if isinstance(own, np.ndarray) else getattr(examples, "labels", None)
    if isinstance(labels, np.ndarray) and labels.shape == (len(examples),) and labels.dtype.kind == "i":
        return np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return np.zeros(len(examples), dtype=np.int64)


def compared_on(split: Split[Any], seed: int) -> tuple[Any, Any]:
    """(rows to train on, rows to compare on): the validation rows where they are given, else a fifth of train.

    Raises DataError where too few rows are left for that.
    """
    if split.validation is not None and len(split.validation):
        return split.train, split.validation
    train: Examples = split.train
    wanted = min(MOST, round(SHARE * len(train)))
    if wanted < LEAST:
        raise DataError(
            f"there are {len(train)} train rows, too few to keep {LEAST} back to compare settings on: label more, or keep the "
            "defaults."
        )
    inside, out = stratified(_strata(train), np.arange(len(train)), wanted, seed)
    return train.take(inside), train.take(out)


def rungs(train: Any, seed: int) -> list[Any]:
    """Nested samples, each three times the one before and the last all rows: what a trial is trained on in turn."""
    count = len(train)
    sizes = [count]
    while sizes[0] >= _RUNG_FROM and len(sizes) < 3:
        sizes.insert(0, round(sizes[0] / 3))
    order = nested_budgets(_strata(train), sizes, seed)
    return [train if size == count else train.take(np.sort(order[size])) for size in sizes]
