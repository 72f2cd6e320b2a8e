"""A tokenised corpus: documents over memory-mapped shards, and parts of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError, UsageError
from maskfork.learn.data.corpus.plan import INDEX, PLAN, read_json, tokenizer_digest
from maskfork.learn.data.corpus.shard import Shard, open_shard
from maskfork.models.tokenizers import Tokenizer, load_tokenizer

IntArray = npt.NDArray[np.int64]
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


@dataclass(frozen=True, eq=False)
class Document:
    """`ids` [n] in the shard's own type, read from the disk when they are used; `begins` [n] bool: who begins a word."""

    number: int
    ids: npt.NDArray[Any]
    begins: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Corpus:
    """N documents: document n lies in `shard[n]` from `start[n]` to `stop[n]`; `hashes` [N] are those of the texts.

    `len(corpus)` counts documents. Parts of a corpus (`split`, `cut`, `take`) are corpora over the same files.
    """

    folder: Path
    index: dict[str, Any]
    shards: tuple[Shard, ...]
    shard: npt.NDArray[np.int32]
    start: npt.NDArray[np.uint32]
    stop: npt.NDArray[np.uint32]
    hashes: npt.NDArray[np.uint64]

    @staticmethod
    def open(folder: str | Path, verify: bool = True) -> Corpus:
        """What `maskfork corpus build` wrote. `verify` reads every byte once and compares it with the digests.

        Raises DataError where there is no corpus, it is not finished, or a shard is torn or missing.
        """
        folder = Path(folder).expanduser()
        if not (folder / INDEX).is_file():
            if (folder / PLAN).is_file():
                raise DataError(f"{folder} is not finished: run the same `maskfork corpus build` again, it goes on")
            raise DataError(f"{folder} is no corpus: make one with `maskfork corpus build FILES --tokenizer T -o {folder}`")
        index = read_json(folder / INDEX)
        shards = tuple(open_shard(folder / said["name"]) for said in index["shards"])
        for shard, said in zip(shards, index["shards"], strict=True):
            if shard.said["digest"] != said["digest"]:
                raise DataError(f"{shard.path} is of another corpus than {folder / INDEX}: build it again in a new folder")
            if verify:
                shard.verify()
        return Corpus(
            folder,
            index,
            shards,
            np.repeat(np.arange(len(shards), dtype=np.int32), [s.documents for s in shards]),
            np.concatenate([s.offsets[:-1] for s in shards]).astype(np.uint32),
            np.concatenate([s.offsets[1:] for s in shards]).astype(np.uint32),
            np.concatenate([s.hashes for s in shards]),
        )

    def __len__(self) -> int:
        return len(self.shard)

    @cached_property
    def lengths(self) -> IntArray:
        """Tokens of each document, [N]."""
        return self.stop.astype(np.int64) - self.start

    @cached_property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """The one that made it. Raises DataError where its file was changed since."""
        found = load_tokenizer(self.folder / "tokenizer")
        if tokenizer_digest(found) != self.index["tokenizer"]:
            raise DataError(f"{self.folder / 'tokenizer'} is not the tokenizer that made this corpus: build the corpus again")
        return found

    @cached_property
    def digest(self) -> str:
        """Which documents of which corpus these are, in 16 letters; the same wherever the folder lies."""
        state = hashlib.sha256("".join(said["digest"] for said in self.index["shards"]).encode())
        for array in (self.shard, self.start, self.stop):
            state.update(np.ascontiguousarray(array).view(np.uint8).data)
        return state.hexdigest()[:16]

    def check(self, tokenizer: Tokenizer) -> None:
        """Raises DataError where this tokenizer did not make the corpus."""
        if tokenizer_digest(tokenizer) != self.index["tokenizer"]:
            raise DataError(f"{self.folder} was made with another tokenizer: use {self.folder / 'tokenizer'}, or build it again")

    def ids(self, number: int, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Token ids of a document, or of a stretch of it."""
        base, end = int(self.start[number]), int(self.stop[number])
        found: npt.NDArray[Any] = self.shards[self.shard[number]].ids[
            base + start : end if stop is None else min(base + stop, end)
        ]
        return found

    def begins(self, number: int, start: int = 0, stop: int | None = None) -> npt.NDArray[np.bool_]:
        """For each token of `ids(number, start, stop)`, whether it begins a word."""
        base, end = int(self.start[number]), int(self.stop[number])
        shard: Shard = self.shards[int(self.shard[number])]
        return shard.begins(base + start, end if stop is None else min(base + stop, end))

    def documents(self, numbers: Iterable[int] | None = None) -> Iterator[Document]:
        """All documents as they are stored, or those with these numbers, in that order."""
        for number in range(len(self)) if numbers is None else numbers:
            yield Document(int(number), self.ids(number), self.begins(number))

    def take(self, chosen: npt.NDArray[Any]) -> Corpus:
        """The corpus of these documents: numbers, or a bool for each."""
        return Corpus(
            self.folder, self.index, self.shards, self.shard[chosen], self.start[chosen], self.stop[chosen], self.hashes[chosen]
        )

    def split(self, share: float, seed: int = 0) -> tuple[Corpus, Corpus]:
        """(train, held out): a document is held out by its text's hash, about `share` of them.

        So it stays on its side in any order, when documents are added, and however often it occurs. Raises UsageError where a
        side would be empty.
        """
        if not 0.0 < share < 1.0:
            raise UsageError(f"the share that is held out lies between 0 and 1, and is not {share:g}")
        with np.errstate(over="ignore"):
            mixed = self.hashes + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
            mixed = (mixed ^ (mixed >> np.uint64(30))) * _MIX[0]
            mixed = (mixed ^ (mixed >> np.uint64(27))) * _MIX[1]
            mixed = mixed ^ (mixed >> np.uint64(31))
        held = mixed < np.uint64(min(int(share * 2.0**64), 2**64 - 1))
        if held.all() or not held.any():
            raise UsageError(
                f"of {len(self):,} documents {'all' if held.all() else 'none'} would be held out: hold out the end of the text "
                "instead (Corpus.cut), or build the corpus with smaller documents"
            )
        return self.take(~held), self.take(held)

    def cut(self, share: float) -> tuple[Corpus, Corpus]:
        """(the first tokens, the last `share` of them) in the order of storage; a document may be cut in two (nanoGPT's way)."""
        if not 0.0 < share < 1.0:
            raise UsageError(f"the share that is cut off lies between 0 and 1, and is not {share:g}")
        at = self.tokens - int(self.tokens * share)
        ends = np.cumsum(self.lengths)
        number = int(np.searchsorted(ends, at, side="left"))
        inside = at - int(ends[number] - self.lengths[number])
        if at in (0, self.tokens):
            raise UsageError(f"{share:g} of {self.tokens:,} tokens leaves one side without a token: give more text")
        head, tail = self.take(np.arange(number + 1)), self.take(np.arange(number, len(self)))
        head.stop[-1] = head.start[-1] + inside
        tail.start[0] += inside
        return head, tail if tail.lengths[0] else tail.take(np.arange(1, len(tail)))
