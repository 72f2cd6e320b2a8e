"""Made-up worlds with a known truth: predictions of several seeds whose errors are partly the same rows."""

from __future__ import annotations

import numpy as np
from scipy import stats


def predictions(
    rng: np.random.Generator, rows: int, accuracies: np.ndarray, shared: float = 0.7, latent: np.ndarray | None = None
) -> np.ndarray:
    """Binary predictions [S, N] for labels of zeros: seed s is right with probability accuracies[s] on every row.

    `shared` is the correlation of the seeds' latent normal scores: some rows are hard for every seed. Passing `latent`
    [N] makes the rows of two contenders hard together.
    """
    common = rng.standard_normal(rows) if latent is None else latent
    own = rng.standard_normal((len(accuracies), rows))
    score = np.sqrt(shared) * common + np.sqrt(1.0 - shared) * own
    right = score < stats.norm.ppf(accuracies)[:, None]
    return (~right).astype(np.int64)


def seeds(rng: np.random.Generator, accuracy: float, sd: float, count: int) -> np.ndarray:
    """True accuracies [S] of `count` trainings of one recipe."""
    return np.clip(accuracy + sd * rng.standard_normal(count), 0.001, 0.999)
