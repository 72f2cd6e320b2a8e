"""What gets one label: a word, or several that share a token. Characters on one side, tokens on the other.

    characters   N e w   Y o r k - b a s e d        SentencePiece:  北 京 大 学
    words        \\___/   \\_____/ ^ \\_______/        words           ^  ^  ^  ^
    tokens       new     york   - based             tokens          \\__/  \\__/
    units        one a word                         units           two: what one token covers has one label

A word that the tokenizer does not see (it has no token) is in no unit; it lies inside a span where units on both sides do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from maskfork.learn.tasks.common.words import Place
from maskfork.measure.spans import Span

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Units:
    """U units of one text, int64 [U]: characters `start` to `end`, tokens `first` to `last` - 1, and `word` [W]: each word's
    unit, -1 for none.
    """

    start: IntArray
    end: IntArray
    first: IntArray
    last: IntArray
    word: IntArray

    def __len__(self) -> int:
        return len(self.start)


def units_of(words: Sequence[Place], places: IntArray) -> Units:
    """The units of words [W] over tokens with places [T, 2] in the same text."""
    spots = np.array(words, dtype=np.int64).reshape(-1, 2)
    begins = np.maximum.accumulate(places[:, 0]) if len(places) else places[:, 0]
    ends = np.maximum.accumulate(places[:, 1]) if len(places) else places[:, 1]
    first = np.searchsorted(ends, spots[:, 0], side="right")
    last = np.searchsorted(begins, spots[:, 1], side="left")
    word = np.full(len(spots), -1, dtype=np.int64)
    found: list[list[int]] = []
    for i, (a, b) in enumerate(zip(first.tolist(), last.tolist(), strict=True)):
        if a >= b:
            continue
        start, end = int(spots[i, 0]), int(spots[i, 1])
        if found and a < found[-1][3]:
            found[-1][1], found[-1][3] = end, max(b, found[-1][3])
        else:
            found.append([start, end, a, b])
        word[i] = len(found) - 1
    table = np.array(found, dtype=np.int64).reshape(-1, 4)
    return Units(table[:, 0], table[:, 1], table[:, 2], table[:, 3], word)


def targets(units: Units, spans: Sequence[Span], index: dict[str, int], *, words: bool) -> IntArray:
    """The class of each unit, int64 [U], by the names of `examples.tag_names`; spans are sorted and apart.

    A unit that touches a span belongs to it. `words`: labels of words; else O, B-, I-. A unit of no class is -1.
    """
    found = np.full(len(units), -1 if words else index["O"], dtype=np.int64)
    free = np.ones(len(units), dtype=bool)
    for span in spans:
        touched = np.flatnonzero((units.end > span.start) & (units.start < span.end) & free)
        free[touched] = False
        for place, unit in enumerate(touched.tolist()):
            name = span.label if words else f"{'I' if place else 'B'}-{span.label}"
            found[unit] = index.get(name, -1)
    return found


def unreachable(units: Units, spans: Sequence[Span]) -> int:
    """Spans that begin or end inside a unit, or that no unit touches: no answer can be just these."""
    starts, ends = set(units.start.tolist()), set(units.end.tolist())
    return sum(span.start not in starts or span.end not in ends for span in spans)
