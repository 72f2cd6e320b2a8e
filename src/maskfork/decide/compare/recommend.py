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
    """A finalist. cost: per million texts, or None; texts_per_second: None where not measured or remote.

    near_chance: the rows cannot tell it from always giving the commonest label (or it does worse).
    """

    name: str
    score: float
    breaches: tuple[Breach, ...] = ()
    cost: float | None = None
    texts_per_second: float | None = None
    remote: bool = False
    near_chance: bool = False


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
    best, alike = ranked[0], [c for c in ranked[1:] if not gap(ranked[0].name, c.name).separates]
    shown = power(best.name, alike[0].name) if alike else Power(None, None)
    if not able:
        chosen = min(candidates, key=lambda c: (_worst(c), -c.score, c.name))
        broken = " and ".join(b.sentence.rstrip(".") for b in chosen.breaches)
        reason = f"No contender meets every constraint; {chosen.name} comes nearest: {_lower(broken)}."
        return Recommendation(chosen.name, reason, bool(alike), shown.label_more, shown.detectable, reason)
    hopeful = [c for c in (best, *alike) if not c.near_chance]
    chosen = min(hopeful or [best, *alike], key=lambda c: (_price_order(c, field), -c.score, c.name))
    why = _why(chosen, best, alike, ranked, gap, metric)
    if not hopeful:
        why += ", but none of them can be told from always giving the commonest label"
    first_line = f"Use {chosen.name}: {why}."
    reason = f"{_upper(why)}{_kept(chosen, candidates, constrained)}."
    return Recommendation(chosen.name, reason, bool(alike), shown.label_more, shown.detectable, first_line)


def _why(
    chosen: Candidate,
    best: Candidate,
    alike: Sequence[Candidate],
    ranked: Sequence[Candidate],
    gap: Callable[[str, str], Gap],
    metric: str,
) -> str:
    if len(ranked) == 1:
        return "it is the only contender left, so there is no difference to show"
    if not alike:
        second = ranked[1].name
        return f"it is better than {second} by {_points(gap(best.name, second), metric)}"
    them = "them"
    if any(c.near_chance for c in (best, *alike)) and not chosen.near_chance:
        them = "those that beat always giving the commonest label"
    if chosen is best:
        others = f", nor from {_listed([c.name for c in alike[1:]])}" if alike[1:] else ""
        behind = _points(gap(best.name, alike[0].name), metric)
        return (
            f"these rows cannot tell it from {alike[0].name}, which is {behind} behind{others}, and it is the cheapest "
            f"of {them} ({_price(chosen)})"
        )
    return (
        f"these rows cannot tell it from {best.name}, which is {_points(gap(best.name, chosen.name), metric)} ahead, "
        f"and of {'those that cannot be told apart' if them == 'them' else them} it is the cheapest "
        f"({_price(chosen)}, against {_price(best)})"
    )


def _kept(chosen: Candidate, candidates: Sequence[Candidate], constrained: bool) -> str:
    """What the constraints did to the choice."""
    if not constrained:
        return ""
    out = [c for c in candidates if c.breaches]
    if not out:
        return "; every contender meets the constraints"
    top = max(out, key=lambda c: (c.score, c.name))
    if top.score <= chosen.score:
        return f"; it meets every constraint, which {len(out)} of {len(candidates)} do not"
    return f"; {top.name} scores higher and breaks a constraint: {_lower(top.breaches[0].sentence.rstrip('.'))}"


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


def _points(gap: Gap, metric: str) -> str:
    interval = f"95 % interval {_hundredths(gap.low)} to {_hundredths(gap.high)}"
    return f"{_hundredths(gap.value)} points of {_word(metric)} ({interval})"


def _hundredths(share: float) -> str:
    return f"{round(100 * share, 1) + 0.0:.1f}"  # the sum turns -0.0 into 0.0


def _word(metric: str) -> str:
    return "macro-F1" if metric == "macro_f1" else metric


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
