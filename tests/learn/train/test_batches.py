"""Batches: every row once, budgets kept, like lengths together."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.learn.train.batches import shuffled_buckets

LENGTHS = np.random.default_rng(0).integers(1, 300, 1003).tolist()


@pytest.mark.parametrize("rows", [1, 7, 16, 400, 2000])
def test_every_row_once_an_epoch(rows: int) -> None:
    found = list(shuffled_buckets(LENGTHS, rows, np.random.default_rng(1)))
    assert sorted(np.concatenate(found).tolist()) == list(range(1003))
    assert max(map(len, found)) <= rows
    assert len(found) >= -(-1003 // rows)


@pytest.mark.parametrize("rows", [1, 5, 16])
def test_as_many_batches_as_the_settings_count(rows: int) -> None:
    """Windows are whole batches, so only the epoch's last one is short."""
    assert len(list(shuffled_buckets(LENGTHS, rows, np.random.default_rng(1)))) == -(-1003 // rows)


def test_like_lengths_together_and_no_order_of_lengths() -> None:
    sizes = np.array(LENGTHS)
    found = list(shuffled_buckets(LENGTHS, 16, np.random.default_rng(2)))
    padded = sum(sizes[b].max() * len(b) for b in found) / sizes.sum()
    plain = np.random.default_rng(2).permutation(1003)
    unsorted = sum(sizes[plain[i : i + 16]].max() * len(plain[i : i + 16]) for i in range(0, 1003, 16)) / sizes.sum()
    assert padded < 1.1
    assert unsorted > 1.7
    means = [sizes[b].mean() for b in found]
    assert abs(np.corrcoef(means, range(len(means)))[0, 1]) < 0.4  # not from short to long


def test_epochs_differ_and_seeds_repeat() -> None:
    def draw(seed: list[int]) -> list[list[int]]:
        return [b.tolist() for b in shuffled_buckets(LENGTHS, 16, np.random.default_rng(seed))]

    assert draw([0, 1]) == draw([0, 1])
    assert draw([0, 1]) != draw([0, 2])


def test_nothing_gives_no_batch() -> None:
    assert list(shuffled_buckets([], 4, np.random.default_rng(0))) == []
