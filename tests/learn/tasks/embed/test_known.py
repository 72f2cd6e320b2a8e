"""Another answer of the same question, in a row of the same batch, is not pushed away from it."""

from __future__ import annotations

import numpy as np
import torch

from maskfork.learn.tasks.embed.known import Known


def test_by_loops_over_rows_drawn_at_random() -> None:
    rng = np.random.default_rng(0)
    numbers = np.stack([rng.integers(0, 8, 40), rng.integers(8, 20, 40), rng.integers(8, 20, 40)], axis=1)
    pairs = {(a, b) for a, b, _ in numbers.tolist()}
    known = Known(numbers)
    seen = 0
    for _ in range(20):
        rows = rng.choice(40, 9, replace=False)
        wanted = torch.zeros(9, 18, dtype=torch.bool)
        for i, row in enumerate(rows):
            for j, other in enumerate(rows):
                for k in (1, 2):
                    own = i == j and k == 1
                    wanted[i, (k - 1) * 9 + j] = (numbers[row, 0], numbers[other, k]) in pairs and not own
        assert torch.equal(known.others(torch.from_numpy(rows)), wanted)
        seen += int(wanted.sum())
    assert seen
