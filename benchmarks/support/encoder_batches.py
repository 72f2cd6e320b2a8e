"""Texts to sorted, padded batches, as a careful user of a padded engine makes them; the batch size that is quickest here."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

Classify = Callable[[Sequence[str]], np.ndarray]


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Longest first, at most `budget` tokens a batch, padding included: what a careful user of a padded engine does."""
    order, start = sorted(range(len(lengths)), key=lambda i: -lengths[i]), 0
    while start < len(order):
        end = start + max(1, budget // lengths[order[start]])
        yield order[start:end]
        start = end


def padded(ids: Sequence[Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
    tokens = np.zeros((len(ids), max(map(len, ids))), np.int64)
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
    return tokens, np.arange(tokens.shape[1])[None] < np.array([len(one) for one in ids])[:, None]


def tokens_of(folder: Path) -> Callable[[Sequence[str]], list[list[int]]]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(512)
    return lambda texts: [one.ids for one in tokenizer.encode_batch_fast(list(texts))]


def in_batches(folder: Path, budget: int, one: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Classify:
    """Sorted, padded batches through `one` (tokens, mask)."""
    encode = tokens_of(folder)

    def classify(texts: Sequence[str]) -> np.ndarray:
        ids, out = encode(texts), {}
        for rows in batches([len(i) for i in ids], budget):
            for row, said in zip(rows, one(*padded([ids[i] for i in rows])), strict=True):
                out[row] = said
        return np.stack([out[i] for i in range(len(ids))])

    return classify


def best_budget(make: Callable[[int], Classify], texts: Sequence[str], budgets: Sequence[int]) -> Classify:
    """The batch size that is quickest on this machine: every engine is tuned before it is timed."""
    taken = {}
    for budget in budgets:
        classify = make(budget)
        classify(texts[:50])
        begun = time.perf_counter()
        classify(texts)
        taken[budget] = time.perf_counter() - begun
    best = min(taken, key=lambda budget: taken[budget])
    print(f"tokens a batch: {best}, of {taken}", file=sys.stderr)
    return make(best)
