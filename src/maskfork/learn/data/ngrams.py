"""TF-IDF features of words (1-2) and of characters within words (2-4), without pickles.

The numbers are those of scikit-learn's `TfidfVectorizer(sublinear_tf=True)` with `analyzer="word"`,
`ngram_range=(1, 2)`, `token_pattern=r"(?u)\\b\\w+\\b"`, and with `analyzer="char_wb"`, `ngram_range=(2, 4)`, each block
of unit length; a test holds them together. Ours is a plain table, so a saved model is JSON and numbers, and predicting
imports neither scikit-learn nor torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Unit = Literal["word", "char"]
_WORD = re.compile(r"\b\w+\b")
_SPACES = re.compile(r"\s\s+")


def terms(text: str, unit: Unit) -> Iterator[str]:
    """The n-grams of one text, lower-cased, with repeats."""
    text = text.lower()
    if unit == "word":
        words = _WORD.findall(text)
        yield from words
        for first, second in pairwise(words):
            yield f"{first} {second}"
        return
    for word in _SPACES.sub(" ", text).split():
        padded = f" {word} "
        for n in (2, 3, 4):
            if n >= len(padded):  # a word shorter than n counts once, whole
                yield padded
                break
            for start in range(len(padded) - n + 1):
                yield padded[start : start + n]


@dataclass(frozen=True)
class Vocabulary:
    """The terms of one block, sorted, with their idf [V]."""

    unit: Unit
    index: dict[str, int]
    idf: NDArray[np.float64]

    @classmethod
    def of(cls, texts: Iterable[str], unit: Unit, most: int, least: int = 1) -> Vocabulary:
        """Read the terms of the training texts, those in `least` texts or more; beyond `most`, the rarest go."""
        seen: Counter[str] = Counter()
        rows = 0
        for text in texts:
            rows += 1
            seen.update(set(terms(text, unit)))
        kept = sorted(term for term, count in seen.items() if count >= least)
        if len(kept) > most:
            kept = sorted(sorted(kept, key=lambda term: (-seen[term], term))[:most])
        counts = np.array([seen[term] for term in kept], dtype=np.float64)
        idf = np.log((1 + rows) / (1 + counts)) + 1  # as if one more text held every term
        return cls(unit, {term: i for i, term in enumerate(kept)}, idf)

    def features(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """[N, V] float64, (1 + log count) * idf, rows of unit length (or zero)."""
        columns: list[int] = []
        values: list[float] = []
        starts = [0]
        for text in texts:
            counts = Counter(terms(text, self.unit))
            row = sorted((self.index[term], count) for term, count in counts.items() if term in self.index)
            columns.extend(column for column, _ in row)
            values.extend(float(count) for _, count in row)
            starts.append(len(columns))
        column_ids = np.array(columns, dtype=np.int32)
        data = 1.0 + np.log(np.array(values, dtype=np.float64)) if values else np.zeros(0)
        data = data * self.idf[column_ids]
        matrix = sparse.csr_matrix((data, column_ids, np.array(starts)), shape=(len(texts), len(self.index)))
        length = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
        scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
        return sparse.csr_matrix(sparse.diags(scale) @ matrix)


def stack(vocabularies: Sequence[Vocabulary], texts: Sequence[str], pairs: Sequence[str] | None) -> sparse.csr_matrix:
    """All blocks side by side; for pairs: the first text, the second, and what both hold (their product)."""
    blocks = []
    for vocabulary in vocabularies:
        first = vocabulary.features(texts)
        blocks.append(first)
        if pairs is not None:
            second = vocabulary.features(pairs)
            blocks += [second, first.multiply(second).tocsr()]
    return sparse.csr_matrix(sparse.hstack(blocks, format="csr"))
