"""A corpus as one long row of tokens: its documents one after the other, each with its own special tokens."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from maskfork.learn.data.corpus.around import Around
from maskfork.learn.data.corpus.corpus import Corpus, IntArray


class Stream:
    """Places 0 .. total - 1. `ends` [N]: where each document's last place is, plus one."""

    def __init__(self, corpus: Corpus, around: Around) -> None:
        self.corpus = corpus
        self.opening = np.asarray(around.opening, dtype=np.int64)
        self.closing = np.asarray(around.closing, dtype=np.int64)
        self.lengths: IntArray = corpus.lengths + len(self.opening) + len(self.closing)
        self.ends: IntArray = np.cumsum(self.lengths)
        self.total = int(self.ends[-1]) if len(self.ends) else 0

    def read(self, start: int, ids: npt.NDArray[np.int64], begins: npt.NDArray[np.bool_] | None, words: IntArray | None) -> None:
        """Fill `ids` [n] with the tokens from place `start` on; where given, `words` with -1 for special tokens and `begins`."""
        number = int(np.searchsorted(self.ends, start, side="right"))
        at, n = 0, len(ids)
        before = len(self.opening)
        while at < n:
            inside = start + at - int(self.ends[number] - self.lengths[number])
            count = int(self.corpus.lengths[number])
            if inside < before:
                took = min(before - inside, n - at)
                ids[at : at + took] = self.opening[inside : inside + took]
                self._special(words, at, took)
            elif inside < before + count:
                took = min(before + count - inside, n - at)
                first = inside - before
                ids[at : at + took] = self.corpus.ids(number, first, first + took)
                if begins is not None:
                    begins[at : at + took] = self.corpus.begins(number, first, first + took)
                    begins[at] = True
            else:
                inside -= before + count
                took = min(len(self.closing) - inside, n - at)
                ids[at : at + took] = self.closing[inside : inside + took]
                self._special(words, at, took)
            at += took
            if start + at >= self.ends[number]:
                number += 1

    def documents(self, start: int, length: int) -> IntArray:
        """The number of the document that each of these places is of."""
        return np.searchsorted(self.ends, np.arange(start, start + length), side="right")

    @staticmethod
    def _special(words: IntArray | None, at: int, took: int) -> None:
        if words is not None:
            words[at : at + took] = -1
