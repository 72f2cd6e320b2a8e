"""Pieces of text to token ids and word beginnings, in order, on all cores.

Threads are enough: the tokenizers library lets go of Python's lock. Processes took as much processor time and more memory.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.learn.data.corpus.pieces import Piece
from maskfork.models.cores import usable_cores
from maskfork.models.tokenizers import Tokenizer

TOGETHER = 1 << 19  # characters that go through the tokenizer at a time
SPACE = "\u2581"


@dataclass(frozen=True, eq=False)
class Tokens:
    """A piece's ids [n] uint32 and, for each, whether it begins a word [n] bool."""

    piece: Piece
    ids: npt.NDArray[np.uint32]
    begins: npt.NDArray[np.bool_]


class Encoder:
    """Text to `Tokens`. Words are those of the tokenizer's own pre-tokenizer.

    Where its pieces tell by themselves (WordPiece's ##, a space sign before every word) the quick way of encoding serves, which
    knows no words; where a tokenizer has no pre-tokenizer, a word begins at the space sign.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.inner = tokenizer.inner
        self.table = _table(tokenizer)

    def __call__(self, pieces: list[Piece]) -> list[Tokens]:
        texts = [piece.text for piece in pieces]
        if self.table is None:
            found = self.inner.encode_batch(texts, add_special_tokens=False)
        else:
            found = self.inner.encode_batch_fast(texts, add_special_tokens=False)
        out = []
        for piece, one in zip(pieces, found, strict=True):
            ids = np.asarray(one.ids, dtype=np.uint32)
            begins = np.ones(len(ids), dtype=np.bool_)
            if self.table is not None:
                begins = self.table[ids]
                begins[:1] = True
            elif len(ids):
                words = np.asarray([-1 if word is None else word for word in one.word_ids])
                begins[1:] = (words[1:] != words[:-1]) | (words[1:] < 0)
            out.append(Tokens(piece, ids, begins))
        return out

    def stream(self, pieces: Iterator[Piece], workers: int | None = None) -> Iterator[Tokens]:
        """All pieces in their order; at most `workers` + 1 groups of them are held."""
        workers = workers or usable_cores()
        waiting: deque[Future[list[Tokens]]] = deque()
        with ThreadPoolExecutor(workers, thread_name_prefix="tokenise") as pool:
            try:
                for group in _groups(pieces):
                    waiting.append(pool.submit(self, group))
                    if len(waiting) > workers:
                        yield from waiting.popleft().result()
                while waiting:
                    yield from waiting.popleft().result()
            finally:
                for future in waiting:
                    future.cancel()


def _groups(pieces: Iterator[Piece]) -> Iterator[list[Piece]]:
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += len(piece.text) + 64
        if size >= TOGETHER:
            yield group
            group, size = [], 0
    if group:
        yield group


def _table(tokenizer: Tokenizer) -> npt.NDArray[np.bool_] | None:
    """Which ids begin a word, [vocabulary] bool, or None where the id alone does not tell."""
    said = json.loads(tokenizer.inner.to_str())
    model, pre = said["model"], said["pre_tokenizer"]
    pieces = tokenizer.inner.get_vocab()
    table = np.ones(tokenizer.size, dtype=np.bool_)  # an added token stands for itself
    ordinary = {piece: index for piece, index in pieces.items() if index not in tokenizer.inner.get_added_tokens_decoder()}
    if model["type"] == "WordPiece" and pre is not None:  # an unknown word is one [UNK]
        for piece, index in ordinary.items():
            table[index] = not piece.startswith(model["continuing_subword_prefix"])
        return table
    if (pre is not None and not _all_marked(pre)) or not any(piece.startswith(SPACE) for piece in pieces):
        return None
    for piece, index in ordinary.items():
        table[index] = piece.startswith(SPACE)
    unknown = model.get("unk_id") if model["type"] == "Unigram" else pieces.get(model.get("unk_token") or "")
    if unknown is not None:
        table[unknown] = False  # of a letter inside a word
    return table


def _all_marked(pre: dict[str, Any]) -> bool:
    """Whether every word gets a space sign in front, and no word is cut after it got one."""
    steps = pre["pretokenizers"] if pre["type"] == "Sequence" else [pre]
    *before, last = steps
    if last["type"] != "Metaspace" or not last.get("split", True) or last["replacement"] != SPACE:
        return False
    return not before or (last["prepend_scheme"] == "always" and all(step["type"] == "WhitespaceSplit" for step in before))
