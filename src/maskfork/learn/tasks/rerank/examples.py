"""What a reranker learns from: queries, each with documents and their grades (0: not relevant)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from maskfork.learn.data.duplicates import normalise
from maskfork.measure.metrics import FloatArray


@dataclass(frozen=True)
class RankRows:
    """N queries; `documents` and `grades` of each, as many of one as of the other."""

    queries: tuple[str, ...]
    documents: tuple[tuple[str, ...], ...]
    grades: tuple[FloatArray, ...]

    def __len__(self) -> int:
        return len(self.queries)

    def take(self, indices: np.ndarray, /) -> RankRows:
        """These queries [n], in this order."""
        chosen = [int(i) for i in indices]
        return RankRows(
            tuple(self.queries[i] for i in chosen),
            tuple(self.documents[i] for i in chosen),
            tuple(self.grades[i] for i in chosen),
        )

    def keys(self) -> list[str]:
        """[N]: a query stands on one side of a split."""
        return [normalise(query) for query in self.queries]

    def with_more(self, count: int, seed: int) -> tuple[RankRows, int]:
        """(rows in which queries without an irrelevant document have `count` of other queries, graded 0; how many those were).

        The documents are drawn at random; fewer where there are not as many others.
        """
        everything = list(dict.fromkeys(text for texts in self.documents for text in texts))
        rng = np.random.default_rng([seed, 0x9E6])
        documents, grades, filled = [], [], 0
        for texts, own in zip(self.documents, self.grades, strict=True):
            others = [text for text in everything if text not in texts] if (own > 0).all() else []
            drawn = [others[i] for i in rng.permutation(len(others))[:count].tolist()]
            filled += bool(drawn)
            documents.append((*texts, *drawn))
            grades.append(np.concatenate([own, np.zeros(len(drawn))]))
        return RankRows(self.queries, tuple(documents), tuple(grades)), filled
