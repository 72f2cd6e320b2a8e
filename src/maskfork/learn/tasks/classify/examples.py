"""Labelled texts of any of the three problems."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from maskfork.learn.data.rows import Rows

Problem = Literal["single", "multi", "regression"]
"""One label a text, any number of labels, or a number."""

HUB = {"single": "single_label_classification", "multi": "multi_label_classification", "regression": "regression"}

#: the class number of a row that fits no label
NO_LABEL = -1


@dataclass(frozen=True)
class Labelled:
    """N texts (or pairs) with what is to be said of them.

    `targets`: int64 [N] into `label_names` [C], `NO_LABEL` for a row that is out of scope; bool [N, C] where several labels may
    hold; float64 [N] of a regression, whose one name is that of the number.
    """

    problem: Problem
    texts: tuple[str, ...]
    pairs: tuple[str, ...] | None
    targets: np.ndarray
    label_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: np.ndarray) -> Labelled:
        """These rows [n], in this order."""
        where = np.asarray(indices, dtype=np.int64)
        texts = tuple(self.texts[i] for i in where)
        pairs = None if self.pairs is None else tuple(self.pairs[i] for i in where)
        return replace(self, texts=texts, pairs=pairs, targets=self.targets[where])

    @property
    def strata(self) -> np.ndarray:
        """int64 [N]: what a split keeps in proportion: the label, the rarest of several, or the tenth that a number is in."""
        if self.problem == "single":
            return np.asarray(self.targets, dtype=np.int64)
        if self.problem == "regression":
            tenths = np.quantile(self.targets, np.linspace(0.1, 0.9, 9))
            return np.asarray(np.searchsorted(tenths, self.targets), dtype=np.int64)
        counts = np.where(self.targets, self.targets.sum(0), len(self) + 1)
        rarest: np.ndarray = np.where(self.targets.any(1), counts.argmin(1), counts.shape[1]).astype(np.int64)
        return rarest

    @staticmethod
    def of_rows(rows: Rows, out_of_scope: str | None = None) -> Labelled:
        """One label a row; rows of the label `out_of_scope` fit none."""
        names = tuple(name for name in rows.label_names if name != out_of_scope)
        index = {name: i for i, name in enumerate(names)}
        numbers = np.array([index.get(name, NO_LABEL) for name in rows.label_names], dtype=np.int64)
        return Labelled("single", rows.texts, rows.pairs, numbers[rows.labels], names)
