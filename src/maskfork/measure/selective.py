"""Answering only where the model is sure: the coverage-risk curve, its area, and the confidence that keeps errors rare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from maskfork.errors import DataError
from maskfork.measure.metrics import FloatArray


@dataclass(frozen=True)
class Curve:
    """Answering the surest rows only. `coverage` [K]: their share; `risk` [K]: the share of errors among them.

    `threshold` [K] is the confidence down to which is answered. Rows of equal confidence come together.
    """

    coverage: FloatArray
    risk: FloatArray
    threshold: FloatArray

    @property
    def area(self) -> float:
        """Mean risk over coverages (AURC, Geifman et al. 2019): lower is better; constant confidence gives the plain error."""
        steps = np.diff(self.coverage, prepend=0.0)
        return float(self.risk @ steps)

    def at(self, coverages: ArrayLike) -> list[dict[str, float]]:
        """The curve where at least each of these shares is answered, as plain values."""
        found = []
        for wanted in np.asarray(coverages, dtype=np.float64).ravel():
            k = min(int(np.searchsorted(self.coverage, wanted - 1e-12)), self.coverage.size - 1)
            values = float(self.coverage[k]), float(self.risk[k]), float(self.threshold[k])
            found.append(dict(zip(("coverage", "risk", "threshold"), values, strict=True)))
        return found


def coverage_risk(confidence: ArrayLike, right: ArrayLike) -> Curve:
    """The curve of N rows: their confidence [N], and whether the answer is right [N]. Raises DataError without rows."""
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if not sure.size or sure.shape != hit.shape:
        raise DataError(f"a coverage-risk curve needs rows with a confidence and a verdict each, not {sure.size} and {hit.size}")
    order = np.argsort(-sure, kind="stable")
    ranked = sure[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    errors = np.cumsum(~hit[order])[last]
    return Curve((last + 1) / sure.size, errors / (last + 1), ranked[last])


def confidence_for(confidence: ArrayLike, right: ArrayLike, risk: float, level: float = 0.95) -> float | None:
    """The lowest confidence at which errors among the answered stay at or below `risk`; None where none does.

    Selection with guaranteed risk (Geifman & El-Yaniv 2017, algorithm 1): the bound is Clopper & Pearson's on validation rows,
    its level shared among the steps of the bisection, so the promise holds with probability `level` over validation sets.
    """
    sure, hit = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    curve = coverage_risk(sure, hit)
    counts = np.rint(curve.coverage * sure.size).astype(np.int64)
    errors = np.rint(curve.risk * counts).astype(np.int64)
    steps = max(1, int(np.ceil(np.log2(counts.size + 1))))
    low, high, found = 0, counts.size - 1, None
    while low <= high:
        middle = (low + high) // 2
        upper = stats.beta.ppf(1.0 - (1.0 - level) / steps, errors[middle] + 1, max(counts[middle] - errors[middle], 1e-9))
        if upper <= risk:
            found, low = float(curve.threshold[middle]), middle + 1
        else:
            high = middle - 1
    return found
