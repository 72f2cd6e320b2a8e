"""Split-conformal prediction: sets of labels (or ranges of a number) that hold the truth as often as was asked for.

With n calibration rows that neither training nor any choice saw, and rows to come from where they came, the truth is inside
with a probability of at least `coverage`, and at most 1 / (n + 1) more (Vovk et al. 2005; Angelopoulos & Bates 2023, section 1).
That is an average over calibration sets and rows to come: for one calibration set the share that is covered varies by
sqrt(coverage (1 - coverage) / n).
"""

from __future__ import annotations

from math import ceil
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from maskfork.errors import DataError
from maskfork.measure.metrics import FloatArray, as_classes

Way = Literal["lac", "aps"]
"""`lac`: every label above one probability (Sadinle et al. 2019), the smallest sets on average, some of them empty. `aps`: the
likeliest labels until they sum up to enough (Romano et al. 2020), larger sets that cover hard rows better."""


def least_rows(coverage: float) -> int:
    """The fewest calibration rows that can promise this coverage: with fewer, only the set of all labels does."""
    return ceil(coverage / (1.0 - coverage) - 1e-9)


def bound(scores: ArrayLike, coverage: float) -> float:
    """The score that `coverage` of rows to come stay at or below, from the calibration rows' scores [n].

    The ceil((n + 1) coverage)-th smallest. Raises DataError where there are too few rows for it.
    """
    found = np.sort(np.asarray(scores, dtype=np.float64).ravel())
    if not 0.0 < coverage < 1.0:
        raise DataError(f"coverage is a share between 0 and 1, such as 0.95, not {coverage}")
    place = ceil((found.size + 1) * coverage - 1e-9)
    if place > found.size:
        raise DataError(
            f"{found.size} calibration rows are too few to promise a coverage of {coverage:g}: it takes {least_rows(coverage)}"
        )
    return float(found[place - 1])


def set_scores(probs: ArrayLike, way: Way) -> FloatArray:
    """How odd each label would be as the truth, [N, C], of probabilities [N, C]: a label is in the set up to the bound.

    aps is without its authors' random part, so that a text has the same set whenever it is asked about.
    """
    p = np.asarray(probs, dtype=np.float64)
    if way == "lac":
        return 1.0 - p
    order = np.argsort(-p, axis=1, kind="stable")
    ranked = np.take_along_axis(p, order, axis=1)
    back = np.empty_like(p)
    np.put_along_axis(back, order, np.cumsum(ranked, axis=1), axis=1)
    return back


def calibrate(probs: ArrayLike, labels: ArrayLike, coverage: float, way: Way = "lac") -> float:
    """The bound on `set_scores` from calibration rows: probabilities [n, C] and their labels [n]. Raises DataError."""
    scores = set_scores(probs, way)
    truth = as_classes(labels, "labels", scores.shape[1])
    return bound(scores[np.arange(truth.size), truth], coverage)


def label_sets(probs: ArrayLike, limit: float, way: Way = "lac") -> NDArray[np.bool_]:
    """Which labels are in each row's set, [N, C]. A set may be empty with `lac`: nothing is likely enough."""
    found: NDArray[np.bool_] = set_scores(probs, way) <= limit
    return found
