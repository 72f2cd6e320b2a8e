"""Does a candidate still write as the original does? By its likeliest tokens, and by what the true ones lose.

Legend: P places that are compared, N rows that they are in.
"""

from __future__ import annotations

import numpy as np

from maskfork.deploy.optimize.gate import Heard, Verdict
from maskfork.measure.means import mean_interval, paired_mean


def judge_written(
    original: Heard, candidate: Heard, *, max_loss: float, least_agreement: float, strict: bool = False
) -> Verdict:  # fmt: skip
    """Refused below `least_agreement` (a share of places), and where the loss rises by more than `max_loss` nats a token.

    Places of one row hang together, so both intervals count rows; with `strict` they must keep within the limits.
    """
    assert original.numbers is not None
    assert candidate.numbers is not None
    same = np.array([a == b for a, b in zip(original.keys, candidate.keys, strict=True)])
    _, row_P, places_N = np.unique(original.numbers[:, 1], return_inverse=True, return_counts=True)
    agreement = mean_interval(np.bincount(row_P, same) / places_N)
    if not np.isfinite(candidate.numbers).all():
        return Verdict(agreement, None, refused="some of its numbers are not finite")
    before, after = (-heard.numbers[:, 0].astype(np.float64) for heard in (original, candidate) if heard.numbers is not None)
    rise = paired_mean(np.bincount(row_P, after - before) / places_N)
    proved = agreement.low >= least_agreement and rise.high <= max_loss
    why = None
    if agreement.value < least_agreement or (strict and agreement.low < least_agreement):
        why = (
            f"its likeliest token is the original's at {agreement.value:.2%} [{agreement.low:.2%}, {agreement.high:.2%}] of the "
            f"places, and {least_agreement:.2%} are asked for"
        )
    elif rise.value > max_loss or (strict and rise.high > max_loss):
        why = (
            f"its loss is higher by {rise.value:.4f} nats a token [{rise.low:+.4f}, {rise.high:+.4f}], "
            f"and {max_loss:g} are allowed"
        )
    worst = float(np.abs(after - before).max())
    return Verdict(
        agreement, worst, refused=why, proved=proved, rise=rise, loss=float((np.bincount(row_P, after) / places_N).mean())
    )
