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
    """One class a row, int64 [N], where the rows have that."""
    labels = getattr(examples, "labels", None)
    if not isinstance(labels, np.ndarray) or labels.ndim != 1 or labels.dtype.kind != "i" or not len(labels):
        return None
    return labels.astype(np.int64) if labels.min() >= 0 else None


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
    labels = labels_of(train)
    kinds = np.zeros(len(train), dtype=np.int64) if labels is None else labels
    inside, out = stratified(kinds, np.arange(len(train)), wanted, seed)
    return train.take(inside), train.take(out)


def rungs(train: Any, seed: int) -> list[Any]:
    """Nested samples, each three times the one before and the last all rows: what a trial is trained on in turn."""
    count = len(train)
    sizes = [count]
    while sizes[0] >= _RUNG_FROM and len(sizes) < 3:
        sizes.insert(0, round(sizes[0] / 3))
    labels = labels_of(train)
    order = nested_budgets(np.zeros(count, dtype=np.int64) if labels is None else labels, sizes, seed)
    return [train if size == count else train.take(np.sort(order[size])) for size in sizes]
