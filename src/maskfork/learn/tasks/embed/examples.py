"""What an encoder learns from: rows of texts that belong together, that are so alike, or that have a label.

pairs      anchor | positive                    what belongs to what
triplets   anchor | positive | negatives ...    and what does not
scored     sentence1 | sentence2 | score        how alike
labelled   text | label                         what is of one kind
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from maskfork.learn.data.duplicates import normalise
from maskfork.learn.data.rows import IntArray
from maskfork.measure.metrics import FloatArray

Kind = Literal["pairs", "triplets", "scored", "labelled"]


@dataclass(frozen=True)
class TextRows:
    """N rows of K texts: `columns` are K tuples of N. `scores` [N] of scored rows; `labels` [N] and names of labelled."""

    columns: tuple[tuple[str, ...], ...]
    scores: FloatArray | None = None
    labels: IntArray | None = None
    label_names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.columns[0])

    @property
    def kind(self) -> Kind:
        if self.labels is not None:
            return "labelled"
        if self.scores is not None:
            return "scored"
        return "pairs" if len(self.columns) == 2 else "triplets"

    def take(self, indices: np.ndarray, /) -> TextRows:
        """These rows [n], in this order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return TextRows(
            tuple(tuple(column[i] for i in chosen.tolist()) for column in self.columns),
            None if self.scores is None else self.scores[chosen],
            None if self.labels is None else self.labels[chosen],
            self.label_names,
        )

    def keys(self) -> list[str]:
        """[N]: equal for rows that must stand on one side of a split: of one anchor, of the same two scored texts."""
        if self.kind != "scored":
            return [normalise(text) for text in self.columns[0]]
        return ["\n".join(sorted(map(normalise, texts))) for texts in zip(*self.columns[:2], strict=True)]
