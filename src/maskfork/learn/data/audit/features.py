"""What the checks that compare texts see: n-grams of every text, and an encoder's vectors where one is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from maskfork.learn.data.ngrams import Vocabulary, stack, terms

if TYPE_CHECKING:
    from maskfork.learn.tasks.probe import Embedder

_MOST = 100_000  # terms a block
_MANY = 1000  # rows from which a term of one text only is left out


@dataclass(frozen=True)
class Features:
    """`words`, `counts`: sparse [N, V], TF-IDF of words, and of words and characters; `known` [N]: the share of a text's words
    that another text has too; `vectors`: [N, E], unit length, or None.
    """

    words: Any
    counts: Any
    known: NDArray[np.float64]
    vectors: NDArray[np.float32] | None
    about: str


def features_of(texts: Sequence[str], pairs: Sequence[str] | None, encoder: Embedder | None) -> Features:
    """Of N texts, or N pairs."""
    sides = [*texts, *(pairs or ())]
    least = 2 if len(texts) >= _MANY else 1
    by_word = Vocabulary.of(sides, "word", _MOST, least)
    words = stack((by_word,), texts, pairs)
    counts = sparse.hstack([words, stack((Vocabulary.of(sides, "char", _MOST, least),), texts, pairs)], format="csr")
    known = np.array([_known(by_word, text) for text in texts])
    if encoder is None:
        return Features(words, counts, known, None, "TF-IDF")
    return Features(words, counts, known, encoder.embed(texts, pairs), "TF-IDF and the model's vectors")


def _known(vocabulary: Vocabulary, text: str) -> float:
    found = set(terms(text, vocabulary.unit))
    return sum(term in vocabulary.index for term in found) / len(found) if found else 0.0
