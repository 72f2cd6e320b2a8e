"""Tokens of documents gathered into shards."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.learn.data.corpus.encode import Tokens


class Growing:
    """An array that things are put to the end of; without an object for each of many short ones."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._room: npt.NDArray[Any] = np.empty(1 << 16, dtype=kind)
        self.count = 0

    def put(self, more: npt.NDArray[Any]) -> None:
        end = self.count + len(more)
        if end > len(self._room):
            wider = np.empty(max(end, len(self._room) * 3 // 2), dtype=self._room.dtype)
            wider[: self.count] = self._room[: self.count]
            self._room = wider
        self._room[self.count : end] = more
        self.count = end

    @property
    def filled(self) -> npt.NDArray[Any]:
        return self._room[: self.count]


class Gathering:
    """The shard that is being filled. `wide`: ids of four bytes."""

    def __init__(self, wide: bool) -> None:
        self._ids, self._begins = Growing(np.uint32 if wide else np.uint16), Growing(np.bool_)
        self._offsets, self.hashes = array("Q", [0]), array("Q")
        self.bytes = self.empty = self.rough = self.split = 0
        self._per_source: dict[int, int] = {}

    @property
    def tokens(self) -> int:
        return self._ids.count

    def add(self, one: Tokens) -> bool:
        """Take a piece; whether a document ended with it."""
        self._ids.put(one.ids)
        self._begins.put(one.begins)
        self.bytes += one.piece.size
        self.rough += one.piece.rough
        self.split += one.piece.split
        if not one.piece.last:
            return False
        if self.tokens == self._offsets[-1]:
            self.empty += 1
            return True
        self._offsets.append(self.tokens)
        self.hashes.append(one.piece.digest)
        self._per_source[one.piece.source] = self._per_source.get(one.piece.source, 0) + 1
        return True

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of a shard file."""
        return {
            "ids": self._ids.filled,
            "offsets": np.asarray(self._offsets, dtype=np.uint64),
            "hashes": np.asarray(self.hashes, dtype=np.uint64),
            "begins": np.packbits(self._begins.filled, bitorder="little"),
        }

    def said(self) -> dict[str, Any]:
        """What the shard's header and the index keep of it."""
        return {
            "bytes": self.bytes, "empty": self.empty, "rough": self.rough, "split": self.split,
            "per_source": {str(number): count for number, count in sorted(self._per_source.items())},
        }  # fmt: skip
