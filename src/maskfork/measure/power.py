"""What this test set could have shown, and how many more rows would show what was seen (Card et al. 2020).

A paired difference of accuracy d on N rows has variance (m - d^2) / N + v. m is the mean square of the rows' differences
(for one seed the share of discordant rows, on which exactly one of the two is right), v the variance that the seeds add
to the mean. Rows make the first part small; only more seeds make v small. The sample size formula is that for McNemar's
test (Miettinen 1968; Connor 1987), z_level sqrt(m/N + v) + z_power sqrt((m - d^2)/N + v) = d, with v added.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from maskfork.errors import UsageError
from maskfork.measure.intervals import quantile
from maskfork.measure.metrics import as_classes, as_predicted
from maskfork.measure.spread import spread_of

_MOST_ROWS = 10**12


@dataclass(frozen=True)
class Separation:
    """How far two contenders could be told apart on these rows.

    observed     accuracy(a) - accuracy(b)
    discordance  mean square m of the rows' differences
    detectable   smallest true difference that these rows show with the power asked for; None: none that they could
    further      rows to add to these for `observed` to be shown with that power, if it is the true one; 0: enough rows
                 as they are; None: rows alone never will
    sentence     the same in words
    """

    observed: float
    discordance: float
    detectable: float | None
    further: int | None
    sentence: str


def _check(rows: int, discordance: float, seeds: float, power: float) -> None:
    if rows < 1 or not 0.0 <= discordance <= 1.0 or not seeds >= 0.0 or not 0.0 < power < 1.0:
        raise UsageError(
            f"Power needs at least one row, a discordance in 0..1, a variance not below 0 and a power in (0, 1); "
            f"not {rows}, {discordance}, {seeds} and {power}."
        )


def _excess(difference: float, rows: float, discordance: float, seeds: float, level: float, power: float) -> float:
    """Above 0 where `difference` on `rows` is shown with at least `power`."""
    square = max(discordance, difference)  # a difference d needs at least a share d of discordant rows
    null = sqrt(square / rows + seeds)
    true = sqrt(max(0.0, square - difference * difference) / rows + seeds)
    return difference - quantile(level) * null - float(stats.norm.ppf(power)) * true


def detectable_difference(
    rows: int, discordance: float, *, seeds: float = 0.0, level: float = 0.95, power: float = 0.8
) -> float | None:
    """The smallest true difference of accuracy (0..1) that an interval on `rows` rows would tell from 0 with `power`.

    `discordance` is m above, as seen; where the answer is more than m, rows are taken to be discordant in its favour
    only. `seeds` is v above. None where not even a difference of 1 would be shown. UsageError for impossible figures.
    """
    _check(rows, discordance, seeds, power)

    def excess(difference: float) -> float:
        return _excess(difference, float(rows), discordance, seeds, level, power)

    return float(optimize.brentq(excess, 1e-12, 1.0)) if excess(1.0) > 0.0 else None


def rows_needed(
    difference: float,
    discordance: float,
    rows: int,
    *,
    seeds: float = 0.0,
    level: float = 0.95,
    power: float = 0.8,
) -> int | None:
    """FURTHER rows, beyond the `rows` there are, for a true difference as large as the one seen to be shown with `power`.

    0 where `rows` would do. None where no number would: the difference is 0, or the seeds' variance `seeds` alone hides
    it (then train more seeds). Arguments as for `detectable_difference`; UsageError for impossible figures.
    """
    _check(rows, discordance, seeds, power)
    size = abs(difference)
    if size > 1.0:
        raise UsageError(f"A difference of two accuracies lies in -1..1; {difference} does not.")

    def excess(total: float) -> float:
        return _excess(size, total, discordance, seeds, level, power)

    if size == 0.0 or excess(float(_MOST_ROWS)) <= 0.0:
        return None
    if excess(float(rows)) >= 0.0:
        return 0
    return max(1, ceil(float(optimize.brentq(excess, float(rows), float(_MOST_ROWS), xtol=1e-3)) - rows))


def separation(
    predicted_a: ArrayLike, predicted_b: ArrayLike, labels: ArrayLike, *, level: float = 0.95, power: float = 0.8
) -> Separation:
    """`detectable_difference` and `rows_needed` of two contenders' predictions [S_a, N] and [S_b, N], in words too."""
    truth = as_classes(labels, "labels")
    a, b = (as_predicted(p, truth) for p in (predicted_a, predicted_b))
    classes = 1 + int(max(a.max(), b.max(), truth.max()))
    spread = spread_of("accuracy", [a, b], truth, classes, 2, 0)
    difference = (a == truth).mean(axis=0) - (b == truth).mean(axis=0)
    observed, discordance = float(difference.mean()), float(np.mean(difference**2))
    seeds = float(spread.seeds.sum())
    detectable = detectable_difference(truth.size, discordance, seeds=seeds, level=level, power=power)
    further = rows_needed(observed, discordance, truth.size, seeds=seeds, level=level, power=power)
    return Separation(observed, discordance, detectable, further, _words(truth.size, observed, detectable, further, power))


def _words(rows: int, observed: float, detectable: float | None, further: int | None, power: float) -> str:
    if detectable is None:
        able = f"{rows} test rows are too few to show any difference."
    else:
        able = f"{rows} test rows show a difference of {100 * detectable:.1f} points or more with {100 * power:.0f} % power."
    seen = f"{100 * abs(observed):.2f} points"
    if observed == 0.0:
        return f"{able} The difference seen is 0, which no number of rows would show."
    if further is None:
        return f"{able} For the {seen} seen, seeds differ too much: train more seeds, more rows alone will not do."
    if further == 0:
        return f"{able} For the {seen} seen, these rows are enough at that power."
    return f"{able} For the {seen} seen, about {_rounded(further)} further test rows would do, if it is the true difference."


def _rounded(rows: int) -> str:
    """Two leading digits: the estimate is no better than that."""
    step = 10 ** max(0, len(str(rows)) - 2)
    return f"{ceil(rows / step) * step:,}".replace(",", " ")
