"""Planned rows as batches: tokens, places, segments, words."""

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
    """`pad` fills what is left over; `words`: number the words too."""

    streams: list[Stream]
    around: Around
    pad: int
    words: bool

    def padded(self, rows: list[Row], width: int | None = None) -> Batch:
        """[rows, width] of one sequence each; width None: the longest, up to a multiple of 8 so that few shapes occur."""
        lengths = [self._length(row[0]) for row in rows]
        if width is None:
            width = -(-max(lengths) // 8) * 8
        tokens, words = self._empty(len(rows), width)
        for number, row in enumerate(rows):
            self._write(row[0], tokens[number], None if words is None else words[number], 0)
        keep = None
        if min(lengths) < width:
            keep = torch.from_numpy(np.arange(width)[None] < np.asarray(lengths)[:, None])
        positions = torch.arange(width)[None]
        return Batch(torch.from_numpy(tokens), positions, keep, words=None if words is None else torch.from_numpy(words))

    def packed(self, rows: list[Row], width: int, flat: bool, height: int) -> Batch:
        """[height, width] with several sequences a row, kept apart by their segments; `flat`: in one row [1, height x width].

        Places count from each sequence's start. What is left over has the segment -1.
        """
        if flat:
            rows, width = [[one for row in rows for one in row]], width * height
        elif len(rows) < height:
            height = len(rows)
        tokens, words = self._empty(len(rows), width)
        positions = np.zeros_like(tokens)
        segments = np.full_like(tokens, -1)
        spans = []
        for number, row in enumerate(rows):
            at = 0
            for segment, one in enumerate(row):
                n = self._write(one, tokens[number], None if words is None else words[number], at)
                segments[number, at : at + n] = segment
                positions[number, at : at + n] = np.arange(n)
                spans.append((number, at, n))
                at += n
        batch = Batch(
            torch.from_numpy(tokens), torch.from_numpy(positions), None, None, torch.from_numpy(segments),
            words=None if words is None else torch.from_numpy(words),
        )  # fmt: skip
        batch.__dict__["spans"] = tuple(spans)
        return batch

    def _length(self, one: Taken) -> int:
        return len(self.around.begin) + one.length + len(self.around.end)

    def _empty(self, rows: int, width: int) -> tuple[IntArray, IntArray | None]:
        tokens = np.full((rows, width), self.pad, dtype=np.int64)
        return tokens, np.full_like(tokens, -1) if self.words else None

    def _write(self, one: Taken, tokens: IntArray, words: IntArray | None, at: int) -> int:
        """A sequence with its special tokens at `at` of a row; gives its length."""
        begin, end = self.around.begin, self.around.end
        first, last = at + len(begin), at + len(begin) + one.length
        tokens[at:first] = begin
        tokens[last : last + len(end)] = end
        stream = self.streams[one.feed]
        if words is None:
            stream.read(one.start, tokens[first:last], None, None)
        else:
            begins = np.zeros(one.length, dtype=np.bool_)
            kinds = np.zeros(one.length, dtype=np.int64)
            stream.read(one.start, tokens[first:last], begins, kinds)
            words[first:last] = np.where(kinds < 0, -1, np.cumsum(begins) - 1)
        return last + len(end) - at
