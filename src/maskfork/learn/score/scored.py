"""What a scorer gives: every measure with its interval, and the paired difference to other predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from numpy.typing import ArrayLike

from maskfork.measure.bootstrap import Figure, bootstrap_difference, bootstrap_interval
from maskfork.measure.intervals import Interval
from maskfork.measure.randomisation import swapped_counts_p


class Value(msgspec.Struct, frozen=True):
    """A measure and its 95 % interval over rows drawn again."""

    value: float
    low: float
    high: float


class Difference(msgspec.Struct, frozen=True):
    """These predictions minus the others, with the interval of the difference and the p of there being none."""

    value: float
    low: float
    high: float
    p: float
    test: str


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """`rows` are what is drawn again, called `unit`. `more` holds tables by label and counts."""

    task: str
    metrics: dict[str, Value]
    rows: int
    unit: str
    notes: list[str]
    more: dict[str, Any] = {}
    against: dict[str, Value] | None = None
    differences: dict[str, Difference] | None = None


RANDOMISATION, MCNEMAR = "approximate randomisation", "exact McNemar"


class Sheet:
    """Collects measures of one side or two."""

    def __init__(self, *, paired: bool) -> None:
        self.metrics: dict[str, Value] = {}
        self.against: dict[str, Value] | None = {} if paired else None
        self.differences: dict[str, Difference] | None = {} if paired else None

    def add(self, name: str, found: Interval, other: Interval | None, apart: Interval | None, p: float, test: str) -> None:
        """One measure; `other` and `apart` where there are other predictions."""
        self.metrics[name] = _value(found)
        if self.against is not None and self.differences is not None and other is not None and apart is not None:
            self.against[name] = _value(other)
            self.differences[name] = Difference(apart.value, apart.low, apart.high, p, test)

    def add_counts(
        self, name: str, counts: ArrayLike, other: ArrayLike | None, figure: Figure, *, bounded: bool = True, scale: float = 1.0
    ) -> None:
        """A measure that sums over rows make, counts [N, K]; `bounded`: it lies between 0 and 1; `scale`: shown times this."""

        def of(side: ArrayLike) -> Interval:
            return scaled(bootstrap_interval(side, figure, bounded=bounded), scale)

        if other is None:
            self.add(name, of(counts), None, None, 1.0, "")
            return
        apart = scaled(bootstrap_difference(counts, other, figure), scale)
        self.add(name, of(counts), of(other), apart, swapped_counts_p(counts, other, figure), RANDOMISATION)

    def done(self, task: str, rows: int, unit: str, notes: list[str], more: Mapping[str, Any] | None = None) -> Scored:
        """All that was collected."""
        said = f"Intervals (95 %) draw the {rows:,} {unit} again; with one training of the model they know nothing of its seed."
        return Scored(
            task=task,
            metrics=self.metrics,
            rows=rows,
            unit=unit,
            notes=[*notes, said],
            more=dict(more or {}),
            against=self.against,
            differences=self.differences,
        )


def scaled(interval: Interval, factor: float) -> Interval:
    """The same on another scale."""
    return Interval(factor * interval.value, factor * interval.low, factor * interval.high)


def _value(interval: Interval) -> Value:
    return Value(interval.value, interval.low, interval.high)


Scorer = Callable[..., Scored]
