"""The recommendation: one contender, in one sentence, with the reason.

The best by the deciding metric among those that meet every constraint; where the held-out rows cannot separate others
from it, the cheapest of them, and the sentence says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from maskfork.decide.compare.constraints import Breach

NEGLIGIBLE = 0.02
"""Fewer labels "suffice" where all of them gain at most this much (the upper end of the interval)."""


@dataclass(frozen=True)
class Gap:
    """A paired difference in the metric, with its interval; in shares, not points."""

    value: float
    low: float
    high: float

    @property
    def separates(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Candidate:
    """A finalist. cost: per million texts, or None; texts_per_second: None where not measured or remote."""

    name: str
    score: float
    breaches: tuple[Breach, ...] = ()
    cost: float | None = None
    texts_per_second: float | None = None
    remote: bool = False
    labels: int = 0


@dataclass(frozen=True)
class Power:
    """What the held-out rows could have shown, and how many further ones would show the observed difference."""

    detectable: float | None
    label_more: int | None


@dataclass(frozen=True)
class Recommendation:
    """winner: a name. detectable: smallest difference that these rows show with power 80 %, where it cannot tell."""

    winner: str
    reason: str
    cannot_tell: bool
    label_more: int | None
    detectable: float | None
    first_line: str


def recommend(
    candidates: Sequence[Candidate],
    gap: Callable[[str, str], Gap],
    power: Callable[[str, str], Power],
    metric: str = "accuracy",
    constrained: bool = False,
) -> Recommendation:
    """Choose. gap(a, b): score of a minus score of b. power(a, b): for these two. At least one candidate."""
    able = [c for c in candidates if not c.breaches]
    field = able or list(candidates)
    ranked = sorted(field, key=lambda c: (-c.score, _price_order(c, field), c.name))
    best = ranked[0]
    first_line, cannot_tell, shown = _first_line(ranked, gap, power, metric)
    if not able:
        chosen = min(candidates, key=lambda c: (_worst(c), -c.score, c.name))
        broken = " and ".join(b.sentence.rstrip(".") for b in chosen.breaches)
        reason = f"No contender meets every constraint; the nearest is {chosen.name}: {_lower(broken)}."
        return Recommendation(chosen.name, reason, cannot_tell, shown.label_more, shown.detectable, first_line)
    alike = [c for c in ranked[1:] if not gap(best.name, c.name).separates]
    chosen = min([best, *alike], key=lambda c: (_price_order(c, field), -c.score, c.name))
    reason = _reason(chosen, best, alike, ranked, gap, metric, constrained, len(candidates) - len(able))
    return Recommendation(chosen.name, reason, cannot_tell, shown.label_more, shown.detectable, first_line)


def _first_line(
    ranked: Sequence[Candidate], gap: Callable[[str, str], Gap], power: Callable[[str, str], Power], metric: str
) -> tuple[str, bool, Power]:
    if len(ranked) == 1:
        return f"Only {ranked[0].name} is left to compare, so there is no difference to show.", False, Power(None, None)
    first, second = ranked[0].name, ranked[1].name
    between = gap(first, second)
    if between.separates:
        said = f"{first} is better than {second} by {_points(between)} of {_word(metric)}."
        return said, False, Power(None, None)
    shown = power(first, second)
    said = f"Cannot tell {first} from {second}: the difference is {_points(between)} of {_word(metric)}."
    if shown.detectable is not None:
        said += f" These held-out rows show a difference of {100 * shown.detectable:.1f} points or more."
    if shown.label_more is not None:
        said += f" About {shown.label_more:,} further held-out rows would show the observed one."
    return said, True, shown


def _reason(
    chosen: Candidate,
    best: Candidate,
    alike: Sequence[Candidate],
    ranked: Sequence[Candidate],
    gap: Callable[[str, str], Gap],
    metric: str,
    constrained: bool,
    out: int,
) -> str:
    kept = ""
    if constrained:
        kept = " and meets every constraint" if not out else f" and meets every constraint ({out} do not)"
    if not alike:
        if len(ranked) == 1:
            return f"{chosen.name} is the only contender{' that meets every constraint' if out else kept}."
        return (
            f"{chosen.name} is better than the next, {ranked[1].name}, by {_points(gap(chosen.name, ranked[1].name))} "
            f"of {_word(metric)}{kept}."
        )
    names = _listed([c.name for c in alike])
    if chosen is best:
        return (
            f"{chosen.name} has the highest {_word(metric)}{kept}; the held-out rows cannot separate it from {names}, "
            f"and it is the cheapest of them ({_price(chosen)})."
        )
    between = gap(best.name, chosen.name)
    return (
        f"{chosen.name}{kept.replace(' and meets', ' meets')}{' and' if kept else ''} cannot be separated from the "
        f"highest {_word(metric)}, that of {best.name} ({_points(between)} higher), and of those that cannot it is the "
        f"cheapest ({_price(chosen)}, against {_price(best)})."
    )


def fewer_labels(name: str, all_labels: int, smaller: Sequence[tuple[int, Gap]]) -> str | None:
    """A sentence where fewer labels do nearly as well. smaller: (budget, score at all minus score at that budget)."""
    for budget, loss in sorted(smaller):
        if loss.high <= NEGLIGIBLE:
            gain = f"{100 * loss.value:+.1f} points, at most {max(100 * loss.high, 0):.1f}"
            return f"{budget} labels do nearly as well for {name}: going from there to {all_labels} gains {gain}."
    return None


def _price_order(candidate: Candidate, field: Sequence[Candidate]) -> tuple[int, float, float]:
    """Known prices by price; with no price for this machine its own models are free of bills, ordered by speed."""
    seconds = 1 / candidate.texts_per_second if candidate.texts_per_second else float("inf")
    if candidate.cost is not None:
        local_free = any(c.cost is None and not c.remote for c in field)
        return (1 if local_free else 0, candidate.cost, seconds)
    return (2 if candidate.remote else 0, 0.0, seconds)


def _price(candidate: Candidate) -> str:
    if candidate.cost is not None:
        return f"{candidate.cost:.2f} per million texts"
    if candidate.remote:
        return "price not given"
    if candidate.texts_per_second:
        return f"{candidate.texts_per_second:,.0f} texts a second on this machine"
    return "no bill"


def _worst(candidate: Candidate) -> tuple[float, int]:
    return max(breach.ratio for breach in candidate.breaches), len(candidate.breaches)


def _points(gap: Gap) -> str:
    return f"{_hundredths(gap.value)} points (95 % interval {_hundredths(gap.low)} to {_hundredths(gap.high)})"


def _hundredths(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"  # the sum turns -0.0 into 0.0


def _word(metric: str) -> str:
    return "macro-F1" if metric == "macro_f1" else metric


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
