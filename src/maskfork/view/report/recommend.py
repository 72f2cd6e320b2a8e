"""The first thing on the page: what to use, and by how much."""

from __future__ import annotations

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Facts, Pair
from maskfork.view.report.strip import Strip
from maskfork.view.words import count, megabytes, milliseconds, number, points, points_range, rate, significant

LONG = 110  # characters after which a headline is set smaller


def headline(facts: Facts) -> str:
    """The recommendation sentence; the report's own where it has one."""
    if facts.first_line:
        return facts.first_line
    if not facts.contenders:
        return "No contender was run, so there is nothing to recommend."
    if facts.winner is None:
        return "No contender can be recommended." if not facts.reason else facts.reason
    reason = facts.reason.rstrip(".")
    return f"Use {facts.winner}: {reason}." if reason else f"Use {facts.winner}."


def difference_sentence(pair: Pair) -> str:
    """Best minus second with its interval, and the word that the interval allows."""
    if pair.difference is None:
        return f"The difference of {pair.a} and {pair.b} was not measured."
    verdict = "the interval holds zero, so these rows cannot tell them apart"
    if pair.separated:
        better, other = (pair.a, pair.b) if (pair.ci or (0, 0))[0] > 0 else (pair.b, pair.a)
        verdict = f"{better} is better than {other} on rows like these"
    elif pair.ci is None:
        verdict = "no interval was computed, so nothing can be said about it"
    interval = f" (95\u00a0% interval {points_range(pair.ci)})" if pair.ci else ""
    return f"Accuracy of {pair.a} minus {pair.b}: {points(pair.difference)} points{interval}; {verdict}."


def hero(facts: Facts) -> Safe:
    """Headline, difference with its interval on one line, what is not certain, what the constraints took away."""
    pair, words = facts.best_pair(), headline(facts)
    return el(
        "header",
        el("h1", user_text(words), class_="long" if len(words) > LONG else None),
        _difference(pair) if pair else None,
        _cannot_tell(facts) if facts.cannot_tell else None,
        [el("p", user_text(remark), class_="notice", role="note") for remark in facts.remarks],
        _constraints(facts),
        _about(facts),
        class_="hero" + ("" if facts.winner and not facts.cannot_tell else " unsure"),
    )


def _difference(pair: Pair) -> Safe:
    drawing = Strip([pair]).row(pair, tall=True) if pair.ci is not None else None
    ends = None
    if drawing is not None:
        ends = el(
            "div",
            el("span", "← ", user_text(pair.b), " ahead"),
            el("span", user_text(pair.a), " ahead →"),
            class_="strip-ends",
        )
    return el("div", el("p", user_text(difference_sentence(pair)), class_="difference"), drawing, ends, class_="versus")


def _cannot_tell(facts: Facts) -> Safe:
    more, least = facts.label_more, facts.detectable
    parts: list[object] = [el("strong", "Cannot tell the first two apart. ")]
    if more is not None:
        rows = el("strong", f"{count(more)} more held-out rows")
        parts.append(["Label about ", rows, " to show the difference seen here. "])
    if least is not None:
        parts.append(f"This test set could have shown {number(least * 100)} points or more (power 80 %). ")
    if facts.reason and facts.reason not in headline(facts):
        parts.append(user_text(facts.reason))
    return el("p", parts, class_="notice", role="note")


def limits_in_words(facts: Facts) -> list[str]:
    """The user's constraints, each as a phrase."""
    given = facts.constraints
    said = {
        "p99_ms": f"p99 latency at most {milliseconds(given.get('p99_ms'))}",
        "qps": f"at least {rate(given.get('qps'))}",
        "memory_mb": f"memory at most {megabytes(given.get('memory_mb'))}",
        "max_cost_per_million": f"at most {significant(given.get('max_cost_per_million'))} per million texts",
    }
    return [words for key, words in said.items() if key in given]


def _constraints(facts: Facts) -> Safe | None:
    limits = limits_in_words(facts)
    broken = [c for c in facts.contenders if not c.within]
    if not limits and not broken:
        return None
    total = len(facts.contenders)
    kept = total - len(broken)
    verdict = "Every contender keeps them." if not broken else f"{kept} of {total} contenders keep them."
    detail = None
    if broken:
        items = [el("li", user_text(c.name), ": ", user_text(_why(c.broken))) for c in broken]
        which = f"The {len(broken)} that break one" if len(broken) > 1 else "The one that breaks one"
        detail = el("details", el("summary", which), el("ul", items))
    intro = f"Your constraints: {'; '.join(limits)}. " if limits else "Constraints: "
    return el("div", el("p", intro, el("strong", verdict)), detail, class_="limits")


def _why(broken: tuple[str, ...]) -> str:
    return "; ".join(b.rstrip(".") for b in broken) + "." if broken else "breaks a constraint."


def _about(facts: Facts) -> Safe:
    data = facts.data
    parts: list[object] = []
    path = data.get("path")
    if path:
        parts.append([el("b", "Data "), user_text(str(path))])
    if data.get("test") is not None:
        parts.append([el("b", "Held-out rows "), _count(data.get("test"))])
    if facts.contenders:
        parts.append([el("b", "Contenders "), str(len(facts.contenders))])
    if facts.raw.get("created"):
        parts.append([el("b", "Made "), user_text(str(facts.raw["created"]))])
    version = facts.raw.get("maskfork")
    parts.append([el("b", "By "), "maskfork compare", user_text(f" {version}") if version else None])
    return el("p", join([el("span", p) for p in parts]), class_="about")


def _count(value: object) -> str:
    return count(value) if isinstance(value, (int, float)) else str(value)
