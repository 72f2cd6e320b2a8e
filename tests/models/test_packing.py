"""Packed batches: every row once, budgets kept, like lengths together."""

from __future__ import annotations

import numpy as np
import pytest

from maskfork.models.packing import by_tokens

LENGTHS = np.random.default_rng(0).integers(1, 300, 1003).tolist()


@pytest.mark.parametrize(("budget", "rows"), [(2048, 256), (500, 4), (100, 256), (1, 256)])
def test_token_budget(budget: int, rows: int) -> None:
    found = list(by_tokens(LENGTHS, budget, rows))
    assert sorted(np.concatenate(found).tolist()) == list(range(1003))
    for part in found:
        assert len(part) <= rows
        assert sum(LENGTHS[i] for i in part) <= budget or len(part) == 1
    sizes = [LENGTHS[i] for part in found for i in part]
    assert sizes == sorted(sizes, reverse=True)


def test_nothing_gives_no_batch() -> None:
    assert list(by_tokens([], 100)) == []
