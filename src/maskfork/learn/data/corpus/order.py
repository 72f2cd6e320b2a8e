"""In which order the stretches of a corpus are read: shuffled in pools of bounded size, and the same for the same seed.

Neighbouring documents form blocks of some ten thousand tokens. An epoch shuffles the blocks, puts them together to pools of some
million tokens, cuts their documents into stretches no longer than a sequence, and shuffles the stretches of a pool. So a place in
an epoch is two numbers, whatever the size of the corpus, and a corpus of one pool is shuffled perfectly.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from maskfork.learn.data.corpus.corpus import IntArray
from maskfork.learn.data.corpus.stream import Stream

BLOCK = 1 << 16
POOL = 1 << 24
Ranking = Literal["shuffled", "stored"]


class Order:
    """Stretches (start, length) [n, 2] in a stream. `across`: they run over the ends of documents, all equally long.

    `size`: the longest stretch.
    """

    def __init__(self, stream: Stream, size: int, across: bool, ranking: Ranking, seed: int, pool: int = POOL) -> None:
        self.stream, self.size, self.across, self.ranking, self.seed = stream, size, across, ranking, seed
        self.block = min(BLOCK, max(pool // 16, 1))
        self.pool = pool
        self._epoch = -1
        self._edges: IntArray = np.zeros(0, dtype=np.int64)
        self._pools: list[npt.NDArray[np.intp]] = []

    def pools(self, epoch: int) -> int:
        """How many pools this epoch has."""
        self._prepare(epoch)
        return len(self._pools)

    def stretches(self, epoch: int, pool: int) -> IntArray:
        """Those of a pool, [n, 2], in the order in which they are read."""
        self._prepare(epoch)
        blocks = self._pools[pool]
        found = np.concatenate([self._cut(int(self._edges[b]), int(self._edges[b + 1])) for b in blocks])
        if self.ranking == "shuffled":
            found = found[np.random.default_rng([self.seed, epoch, pool, 1]).permutation(len(found))]
        return found

    def _prepare(self, epoch: int) -> None:
        if epoch == self._epoch:
            return
        rng = np.random.default_rng([self.seed, epoch])
        shuffled = self.ranking == "shuffled"
        self._edges = self._block_edges(int(rng.integers(self.size)) if shuffled else 0)
        order = np.arange(len(self._edges) - 1)
        if shuffled:
            order = rng.permutation(order)
        filled = np.cumsum(np.diff(self._edges)[order])
        last = (filled - 1) // self.pool
        self._pools = np.split(order, np.flatnonzero(np.diff(last)) + 1) if len(order) else []
        self._epoch = epoch

    def _block_edges(self, phase: int) -> IntArray:
        """Places in the stream where blocks begin and end."""
        total = self.stream.total
        if self.across:
            phase = phase if total - phase >= self.size else 0
            step = max(self.block // self.size, 1) * self.size
            stop = total if self.ranking == "stored" else phase + (total - phase) // self.size * self.size
            return np.append(np.arange(phase, stop, step), stop)
        ends = self.stream.ends
        marks = np.searchsorted(ends, np.arange(self.block, total, self.block))
        return np.unique(np.concatenate([[0], ends[marks], [total]]))

    def _cut(self, first: int, last: int) -> IntArray:
        """A block's stretches."""
        if self.across:
            starts = np.arange(first, last, self.size)
            return np.stack([starts, np.minimum(last - starts, self.size)], axis=1)
        low, high = np.searchsorted(self.stream.ends, [first, last], side="right")
        ends, lengths = self.stream.ends[low:high], self.stream.lengths[low:high]
        counts = -(-lengths // self.size)
        before = np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(ends - lengths, counts) + self.size * (np.arange(counts.sum()) - before)
        return np.stack([starts, np.minimum(np.repeat(ends, counts) - starts, self.size)], axis=1)
