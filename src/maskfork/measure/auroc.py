"""How well a score tells two kinds of rows apart: the area under the ROC curve, with DeLong's interval."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import rankdata

from maskfork.errors import DataError
from maskfork.measure.intervals import Interval, quantile


def auroc(scores: ArrayLike, positive: ArrayLike, level: float = 0.95) -> Interval:
    """The chance that a positive row scores above a negative one (ties count half), from scores [N] and truth [N].

    Variance after DeLong et al. (1988) by ranks (Sun & Xu 2014); the interval on the scale of the logit, where it is nearly
    normal. Where the two kinds are wholly apart, a pair in N + 1 counts as inverted, so that the width is never zero.
    Raises DataError without a row of each kind.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(positive, dtype=np.bool_)
    above, below = values[truth], values[~truth]
    if not above.size or not below.size:
        raise DataError("an area under the ROC curve needs a row of each of the two kinds")
    ranks = rankdata(values)
    share_above = (ranks[truth] - rankdata(above)) / below.size  # of the negatives that each positive is above
    share_below = 1.0 - (ranks[~truth] - rankdata(below)) / above.size
    value = float(share_above.mean())
    variance = sum(float(part.var(ddof=1)) / part.size for part in (share_above, share_below) if part.size > 1)
    near = min(max(value, 0.5 / (values.size + 1)), 1.0 - 0.5 / (values.size + 1))
    least = near * (1.0 - near) / max(above.size, below.size)
    spread = sqrt(max(variance, least if variance == 0.0 else 0.0)) / (near * (1.0 - near))
    half, centre = quantile(level) * spread, log(near / (1.0 - near))
    low, high = (1.0 / (1.0 + exp(-max(-700.0, x))) for x in (centre - half, centre + half))
    return Interval(value, min(low, value), max(high, value))
