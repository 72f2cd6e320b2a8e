"""Text in memory as a source of batches: enough for what fits there."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from maskfork.core.batch import Batch
from maskfork.errors import DataError
from maskfork.learn.data.unlabelled import read_texts
from maskfork.learn.train.source import InMemory
from maskfork.models.tokenizers import Tokenizer

PLAIN = (".txt", ".text", ".md")


@dataclass
class Texts:
    """Windows of `length` tokens, [N, length]: those to train on and those held out, with the bytes of text behind the latter."""

    train: np.ndarray
    held: np.ndarray
    documents: int

    def source(self, rows: int, seed: int) -> InMemory[Batch]:
        """Batches of `rows` windows, in a new order every epoch."""
        return InMemory(lambda chosen: batch_of(self.train[chosen]), len(self.train), rows, seed)

    def held_batches(self, rows: int, most: int = 64) -> list[Batch]:
        """What evaluation reads, `most` batches at most."""
        part = self.held[: rows * most]
        return [batch_of(part[i : i + rows]) for i in range(0, len(part), rows)]


def batch_of(windows: np.ndarray) -> Batch:
    return Batch.padded(torch.from_numpy(windows.astype(np.int64)))


def read(paths: Sequence[str], tokenizer: Tokenizer, length: int, *, holdout: float, special: bool) -> Texts:
    """Read files (text, jsonl, csv, parquet; gzipped too), tokenise, cut into windows. Raises DataError.

    Documents follow each other with an end-of-text token between them, or, where `special`, every window has the tokenizer's own
    special tokens around it. Documents are held out by the hash of their text, so that no other run trains on them; where there
    is one document only, its end is.
    """
    documents = [text for path in paths for text in _documents(Path(path).expanduser()) if text.strip()]
    if not documents:
        raise DataError("there is no text in the data: give files that hold some")
    front, back = _frame(tokenizer) if special else ([], [])
    room = length - len(front) - len(back)
    if room < 8:
        raise DataError(f"windows of {length} tokens leave {room} for the text: raise --length")
    between = tokenizer.special("eos") if not special else None
    held_by_hash = len(documents) > 1
    parts: dict[bool, list[np.ndarray]] = {False: [], True: []}
    for text, encoded in zip(documents, tokenizer.encode_many(documents, special=False), strict=True):
        ids = encoded.ids + ([between] if between is not None else [])
        parts[held_by_hash and _share(text) < holdout].append(np.asarray(ids, dtype=np.int32))
    cut = {
        which: _windows(np.concatenate(found), room) if found else np.zeros((0, room), np.int32) for which, found in parts.items()
    }
    if (not held_by_hash or not len(cut[True])) and holdout > 0 and len(cut[False]) > 1:
        keep = max(1, round(len(cut[False]) * holdout))
        cut = {False: cut[False][:-keep], True: cut[False][-keep:]}
    train, held = (_framed(cut[which], front, back) for which in (False, True))
    return Texts(train, held, len(documents))


def _documents(path: Path) -> list[str]:
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith("."))
        if not files:
            raise DataError(f"{path} holds no file: give text, jsonl or parquet")
        return [text for file in files for text in _documents(file)]
    if path.suffix.lower() in PLAIN:
        if not path.is_file():
            raise DataError(f"there is no file {path}: check the path")
        try:
            return [path.read_text("utf-8")]
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not UTF-8 ({error}): convert it") from error
    return read_texts(path)[0]


def _frame(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens before and after a text."""
    whole, bare = tokenizer.encode("a", special=True), tokenizer.encode("a", special=False)
    for start in range(len(whole) - len(bare) + 1):
        if whole[start : start + len(bare)] == bare:
            return whole[:start], whole[start + len(bare) :]
    return [], []


def _share(text: str) -> float:
    """A number in [0, 1) that a document always has."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big") / 2**64


def _windows(stream: np.ndarray, room: int) -> np.ndarray:
    return stream[: len(stream) // room * room].reshape(-1, room)


def _framed(windows: np.ndarray, front: list[int], back: list[int]) -> np.ndarray:
    rows = len(windows)
    return np.concatenate([np.tile(np.asarray(ids, np.int32), (rows, 1)).reshape(rows, -1) for ids in (front,)] + [windows]
                          + [np.tile(np.asarray(back, np.int32), (rows, 1)).reshape(rows, -1)], axis=1)  # fmt: skip
