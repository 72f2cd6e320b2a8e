"""Texts of a batch that are known to belong to an anchor though they stand in other rows: they are no negatives for it.

Where a question has several answers, another of them may come into its batch as somebody else's; to push it away would unlearn
what another row says. Legend: N rows of a batch, K texts a row, C = N * (K - 1) candidates.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from maskfork.learn.data.rows import IntArray


class Known:
    """Of all rows, by the numbers of their texts [N, K]: anchor, positive, hard negatives."""

    def __init__(self, numbers_NK: IntArray) -> None:
        self._numbers = numbers_NK
        self._texts = int(numbers_NK.max()) + 1
        self._pairs = np.unique(numbers_NK[:, 0] * self._texts + numbers_NK[:, 1])

    def others(self, rows_N: Tensor) -> Tensor:
        """bool [N, C]: what belongs to a row's anchor by another row, of all positives, then the negatives column by column."""
        texts = self._numbers[rows_N.numpy()]
        candidates = texts[:, 1:].T.ravel()
        found = torch.from_numpy(np.isin(texts[:, :1] * self._texts + candidates, self._pairs))
        found.fill_diagonal_(False)  # the row's own positive is the answer
        return found
