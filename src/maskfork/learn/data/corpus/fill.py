"""Planned rows as batches: tokens, places, segments, words, documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.learn.data.corpus.around import Around
from maskfork.learn.data.corpus.corpus import IntArray
from maskfork.learn.data.corpus.plans import Row, Taken
from maskfork.learn.data.corpus.stream import Stream


@dataclass(frozen=True, eq=False)
class Filler:
    """`pad` fills what is left over; `words`, `documents`: number these too."""

    streams: list[Stream]
    around: Around
    pad: int
    words: bool
    documents: bool = False

    def padded(self, rows: list[Row], width: int | None = None) -> Batch:
        """[rows, width] of one sequence each; width None: the longest, up to a multiple of 8 so that few shapes occur."""
        lengths = [self._length(row[0]) for row in rows]
        if width is None:
            width = -(-max(lengths) // 8) * 8
        made = self._empty(len(rows), width)
        for number, row in enumerate(rows):
            self._write(row[0], made, number, 0)
        keep = None
        if min(lengths) < width:
            keep = torch.from_numpy(np.arange(width)[None] < np.asarray(lengths)[:, None])
        positions = torch.arange(width)[None]
        return Batch(torch.from_numpy(made.tokens), positions, keep, **made.more())

    def packed(self, rows: list[Row], width: int, flat: bool, height: int) -> Batch:
        """[height, width] with several sequences a row, kept apart by their segments; `flat`: in one row [1, height x width].

        Places count from each sequence's start. What is left over has the segment -1.
        """
        if flat:
            rows, width = [[one for row in rows for one in row]], width * height
        elif len(rows) < height:
            height = len(rows)
        made = self._empty(len(rows), width)
        positions = np.zeros_like(made.tokens)
        segments = np.full_like(made.tokens, -1)
        spans = []
        for number, row in enumerate(rows):
            at = 0
            for segment, one in enumerate(row):
                n = self._write(one, made, number, at)
                segments[number, at : at + n] = segment
                positions[number, at : at + n] = np.arange(n)
                spans.append((number, at, n))
                at += n
        batch = Batch(
            torch.from_numpy(made.tokens), torch.from_numpy(positions), None, None, torch.from_numpy(segments), **made.more()
        )
        batch.__dict__["spans"] = tuple(spans)
        return batch

    def _length(self, one: Taken) -> int:
        return len(self.around.begin) + one.length + len(self.around.end)

    def _empty(self, rows: int, width: int) -> Filled:
        tokens = np.full((rows, width), self.pad, dtype=np.int64)
        words, documents = (np.full_like(tokens, -1) if asked else None for asked in (self.words, self.documents))
        return Filled(tokens, words, documents)

    def _write(self, one: Taken, made: Filled, row: int, at: int) -> int:
        """A sequence with its special tokens at `at` of a row; gives its length."""
        begin, end = self.around.begin, self.around.end
        first, last = at + len(begin), at + len(begin) + one.length
        tokens = made.tokens[row]
        tokens[at:first] = begin
        tokens[last : last + len(end)] = end
        stream = self.streams[one.feed]
        if made.words is None:
            stream.read(one.start, tokens[first:last], None, None)
        else:
            begins = np.zeros(one.length, dtype=np.bool_)
            kinds = np.zeros(one.length, dtype=np.int64)
            stream.read(one.start, tokens[first:last], begins, kinds)
            made.words[row, first:last] = np.where(kinds < 0, -1, np.cumsum(begins) - 1)
        if made.documents is not None:
            before = sum(len(other.ends) for other in self.streams[: one.feed])
            made.documents[row, first:last] = before + stream.documents(one.start, one.length)
        return last + len(end) - at


@dataclass(frozen=True, eq=False)
class Filled:
    """What a batch is made of, all [rows, width]."""

    tokens: IntArray
    words: IntArray | None
    documents: IntArray | None

    def more(self) -> dict[str, torch.Tensor]:
        """What was asked for beside the tokens."""
        asked = {"words": self.words, "documents": self.documents}
        return {name: torch.from_numpy(values) for name, values in asked.items() if values is not None}
