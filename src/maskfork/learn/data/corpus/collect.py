"""Tokens of documents gathered into shards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.learn.data.corpus.encode import Tokens


@dataclass
class Gathering:
    """The shard that is being filled."""

    wide: bool
    ids: list[npt.NDArray[Any]] = field(default_factory=list)
    begins: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    offsets: list[int] = field(default_factory=lambda: [0])
    hashes: list[int] = field(default_factory=list)
    tokens: int = 0
    bytes: int = 0
    empty: int = 0
    rough: int = 0
    split: int = 0
    per_source: dict[int, int] = field(default_factory=dict)

    def add(self, one: Tokens) -> bool:
        """Take a piece; whether a document ended with it."""
        self.ids.append(one.ids if self.wide else one.ids.astype(np.uint16))
        self.begins.append(one.begins)
        self.tokens += len(one.ids)
        self.bytes += one.piece.size
        self.rough += one.piece.rough
        self.split += one.piece.split
        if not one.piece.last:
            return False
        if self.tokens == self.offsets[-1]:
            self.empty += 1
            return True
        self.offsets.append(self.tokens)
        self.hashes.append(one.piece.digest)
        self.per_source[one.piece.source] = self.per_source.get(one.piece.source, 0) + 1
        return True

    def parts(self) -> dict[str, npt.NDArray[Any]]:
        """The arrays of a shard file."""
        kind = np.uint32 if self.wide else np.uint16
        return {
            "ids": np.concatenate([np.zeros(0, kind), *self.ids]),
            "offsets": np.asarray(self.offsets, dtype=np.uint64),
            "hashes": np.asarray(self.hashes, dtype=np.uint64),
            "begins": np.packbits(np.concatenate([np.zeros(0, np.bool_), *self.begins]), bitorder="little"),
        }

    def said(self) -> dict[str, Any]:
        """What the shard's header and the index keep of it."""
        return {
            "bytes": self.bytes, "empty": self.empty, "rough": self.rough, "split": self.split,
            "per_source": {str(number): count for number, count in sorted(self.per_source.items())},
        }  # fmt: skip
