"""Texts that say nearly the same: exact copies, near copies by their words, and near ones by their vectors.

Every text is compared with every other, block by block: nothing is missed, and memory stays at a block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from maskfork.learn.data.duplicates import clusters
from maskfork.learn.data.rows import IntArray

BLOCK = 1024


@dataclass(frozen=True)
class Doubles:
    """`group` [N]: equal for texts that are doubles, the row of the first; a text joins where it is near any member.

    `exact`, `words`, `vectors` count the rows that are no first one: by equal normalised text, then also by word 5-grams, then
    also by vectors. `pairs` are those by vectors: (row, row, cosine), most alike first.
    """

    group: IntArray
    exact: int
    words: int
    vectors: int
    pairs: list[tuple[int, int, float]]

    @property
    def kept(self) -> IntArray:
        """The first row of each group."""
        return np.unique(self.group)


def doubles(texts: list[str], vectors_ND: np.ndarray, threshold: float, *, by_words: float | None = 0.8) -> Doubles:
    """Groups of N texts whose unit vectors have a cosine of `threshold` or more, or whose word 5-grams overlap by `by_words`."""
    by_text = clusters(texts, threshold=by_words if by_words is not None else 1.0)
    start = by_text.exact if by_words is None else by_text.near
    pairs = _near(vectors_ND, threshold)
    exact = len(texts) - len(np.unique(by_text.exact))
    words = len(texts) - len(np.unique(start)) - exact
    first = np.unique(start, return_index=True)[1][np.unique(start, return_inverse=True)[1]]
    ends = np.array([[a, b] for a, b, _ in pairs], dtype=np.int64).reshape(-1, 2)
    links = np.concatenate([ends, np.stack([np.arange(len(texts)), first], axis=1)])
    graph = coo_array((np.ones(len(links), dtype=bool), (links[:, 0], links[:, 1])), shape=(len(texts), len(texts)))
    _, part = connected_components(graph, directed=False)
    firsts = np.unique(part, return_index=True)[1]
    group = firsts[part].astype(np.int64)
    return Doubles(group, exact, words, len(texts) - len(firsts) - exact - words, pairs)


def _near(vectors: np.ndarray, threshold: float) -> list[tuple[int, int, float]]:
    found: list[tuple[int, int, float]] = []
    for start in range(0, len(vectors), BLOCK):
        mine = vectors[start : start + BLOCK]
        for other in range(start, len(vectors), BLOCK):
            cosines = mine @ vectors[other : other + BLOCK].T
            rows, columns = np.nonzero(cosines >= threshold)
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
                if start + row < other + column:
                    found.append((start + row, other + column, float(cosines[row, column])))
    return sorted(found, key=lambda pair: (-pair[2], pair[0], pair[1]))
