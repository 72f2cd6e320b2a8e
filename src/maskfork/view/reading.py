"""What a report.json says, read once into plain values, so that no page and no table guesses about missing parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Range = tuple[float, float]
PROMPTED = ("prompt", "endpoint")


@dataclass(frozen=True)
class Contender:
    """One recipe at one label budget. Shares are 0..1; times ms; sizes MB; None is "not measured"."""

    name: str
    series: str
    kind: str
    base: str
    budget: int | None
    seeds: tuple[str, ...]
    accuracy: float | None
    accuracy_ci: Range | None
    macro_f1: float | None
    macro_f1_ci: Range | None
    ece: float | None
    ece_ci: Range | None
    brier: float | None
    nll: float | None
    p50: float | None
    p99: float | None
    runs: int | None
    throughput: float | None
    memory_mb: float | None
    disk_mb: float | None
    cost: float | None
    within: bool
    broken: tuple[str, ...]
    on_front: bool
    fit_seconds: float | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Pair:
    """Accuracy of `a` minus accuracy of `b` on the same rows."""

    a: str
    b: str
    difference: float | None
    ci: Range | None
    mcnemar_p: float | None
    holm_p: float | None
    better: str | None

    def turned(self) -> Pair:
        """The same comparison as `b` minus `a`."""
        flipped = None if self.ci is None else (-self.ci[1], -self.ci[0])
        less = None if self.difference is None else -self.difference
        return Pair(self.b, self.a, less, flipped, self.mcnemar_p, self.holm_p, self.better)

    @property
    def separated(self) -> bool:
        """The interval excludes zero; only then may a page write "better"."""
        return self.ci is not None and (self.ci[0] > 0 or self.ci[1] < 0)


@dataclass(frozen=True)
class Crossover:
    """The label count from which `encoder` beats `decoder`; an open end of the interval is None."""

    budget: float
    low: float | None
    high: float | None
    encoder: str
    decoder: str


@dataclass(frozen=True)
class Facts:
    """A whole report. `raw` is kept for the free-form parts (environment, data)."""

    raw: Mapping[str, Any]
    contenders: tuple[Contender, ...]  # best accuracy first
    not_run: tuple[tuple[str, str], ...]
    pairs: tuple[Pair, ...]
    crossover: Crossover | None
    crossover_note: str
    winner: str | None
    reason: str
    remarks: tuple[str, ...]
    first_line: str
    cannot_tell: bool
    label_more: int | None
    detectable: float | None
    data: Mapping[str, Any]
    constraints: dict[str, float]
    figures: Mapping[str, Any]

    @property
    def series(self) -> tuple[str, ...]:
        """Series in the order of their best contender: the order of colours."""
        return tuple(dict.fromkeys(c.series for c in self.contenders))

    def rank(self, name: str) -> int | None:
        """1 for the most accurate."""
        return next((i for i, c in enumerate(self.contenders, 1) if c.name == name), None)

    def contender(self, name: str | None) -> Contender | None:
        return next((c for c in self.contenders if c.name == name), None)

    def pair(self, a: str, b: str) -> Pair | None:
        """`a` minus `b`, turned round where the report holds it the other way."""
        for pair in self.pairs:
            if (pair.a, pair.b) == (a, b):
                return pair
            if (pair.a, pair.b) == (b, a):
                return pair.turned()
        return None

    def best_pair(self) -> Pair | None:
        """The most accurate contender minus the second, among those that the report compares in pairs.

        A series is compared at one budget: its own smaller budgets are on its learning curve, not in the pairs.
        """
        compared = {name for pair in self.pairs for name in (pair.a, pair.b)}
        ranked = [c.name for c in self.contenders if c.name in compared]
        return self.pair(ranked[0], ranked[1]) if len(ranked) > 1 else None


def read_report(report: Mapping[str, Any]) -> Facts:
    """The dict of report.json (any part may be missing or null) as `Facts`."""
    contenders = sorted(
        (_contender(c) for c in _list(report.get("contenders"))),
        key=lambda c: -math.inf if c.accuracy is None else c.accuracy,
        reverse=True,
    )
    advice = _dict(report.get("recommendation"))
    limits = {k: num(v) for k, v in _dict(report.get("constraints")).items()}
    winner = advice.get("winner")
    label_more = num(advice.get("label_more"))
    return Facts(
        raw=report,
        contenders=tuple(contenders),
        not_run=tuple((text(x.get("name")), text(x.get("why"))) for x in _list(report.get("not_run"))),
        pairs=tuple(_pair(p) for p in _list(report.get("pairs"))),
        crossover=_crossover(report.get("crossover")),
        crossover_note=text(report.get("crossover_note")),
        winner=None if winner is None else text(winner),
        reason=text(advice.get("reason")),
        remarks=tuple(text(r) for r in advice.get("remarks") or () if text(r)),
        first_line=text(advice.get("first_line")),
        cannot_tell=bool(advice.get("cannot_tell")),
        label_more=None if label_more is None else round(label_more),
        detectable=num(advice.get("detectable")),
        data=_dict(report.get("data")),
        constraints={k: v for k, v in limits.items() if v is not None},
        figures=_dict(report.get("figures")),
    )


def num(value: Any) -> float | None:
    """A finite number or None."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    found = float(value)
    return found if math.isfinite(found) else None


def span(value: Any) -> Range | None:
    """[low, high], both finite, or None."""
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        return None
    low, high = num(value[0]), num(value[1])
    return None if low is None or high is None else (low, high)


def text(value: Any) -> str:
    return "" if value is None else str(value)


def _list(value: Any) -> list[Mapping[str, Any]]:
    return [x for x in value if isinstance(x, Mapping)] if isinstance(value, Sequence) else []


def _dict(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(x) for x in value) if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _contender(c: Mapping[str, Any]) -> Contender:
    latency = _dict(c.get("latency_ms"))
    budget, runs = num(c.get("budget")), num(latency.get("count"))
    name = text(c.get("name"))
    broken = _texts(c.get("broken"))
    return Contender(
        name=name,
        series=text(c.get("series")) or name,
        kind=text(c.get("kind")),
        base=text(c.get("base")),
        budget=None if budget is None else round(budget),
        seeds=_texts(c.get("seeds")),
        accuracy=num(c.get("accuracy")),
        accuracy_ci=span(c.get("accuracy_ci")),
        macro_f1=num(c.get("macro_f1")),
        macro_f1_ci=span(c.get("macro_f1_ci")),
        ece=num(c.get("ece")),
        ece_ci=span(c.get("ece_ci")),
        brier=num(c.get("brier")),
        nll=num(c.get("nll")),
        p50=num(latency.get("p50")),
        p99=num(latency.get("p99")),
        runs=None if runs is None else round(runs),
        throughput=num(c.get("throughput")),
        memory_mb=num(c.get("memory_mb")),
        disk_mb=num(c.get("disk_mb")),
        cost=num(c.get("cost_per_million")),
        within=bool(c.get("within_constraints", not broken)),
        broken=broken,
        on_front=bool(c.get("on_front")),
        fit_seconds=num(c.get("fit_seconds")),
        notes=_texts(c.get("notes")),
    )


def _pair(p: Mapping[str, Any]) -> Pair:
    better = p.get("better")
    return Pair(
        a=text(p.get("a")),
        b=text(p.get("b")),
        difference=num(p.get("difference")),
        ci=span(p.get("ci")),
        mcnemar_p=num(p.get("mcnemar_p")),
        holm_p=num(p.get("mcnemar_p_holm")),
        better=None if better is None else text(better),
    )


def _crossover(value: Any) -> Crossover | None:
    found = _dict(value)
    budget = num(found.get("budget"))
    if budget is None:
        return None
    ci = found.get("ci")
    low, high = (num(ci[0]), num(ci[1])) if isinstance(ci, Sequence) and len(ci) == 2 else (None, None)
    return Crossover(budget, low, high, text(found.get("encoder")), text(found.get("decoder")))
