"""What accuracy costs: accuracy against latency and against money."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Contender, Facts
from maskfork.view.report.axes import (
    Plot,
    Size,
    figure,
    label,
    line,
    linear,
    log_ticks,
    logarithmic,
    nice_ticks,
    share_domain,
)
from maskfork.view.report.series import Styles, key
from maskfork.view.words import milliseconds, number, percent, significant

NO_COST = "Cost per million texts was not measured: give --price-per-hour (or the endpoint's prices)."
Measure = Callable[[Contender], float | None]


def front_section(facts: Facts, styles: Styles) -> Safe:
    """Two plots where both were measured; a sentence where one was not."""
    latency = _plot(
        facts,
        styles,
        lambda c: c.p99,
        "p99 latency of one text, ms (log scale)",
        "Accuracy against the 99th percentile of the latency of one text",
        milliseconds,
        facts.constraints.get("p99_ms"),
    )
    cost = _plot(
        facts,
        styles,
        lambda c: c.cost,
        "cost per million texts (log scale)",
        "Accuracy against cost per million texts",
        lambda v: f"{significant(v)} per million texts",
        facts.constraints.get("max_cost_per_million"),
    )
    missing = None if cost else el("p", NO_COST)
    if not latency and not cost:
        return join([el("p", "Neither latency nor cost was measured in this run."), missing])
    words = el(
        "p",
        "Up and to the left is better. The stepped line joins the contenders that nothing else beats on both; ",
        "their numbers are those of the table of contenders. Hollow points are beaten on both by another one.",
    )
    return join([words, latency, cost, missing])


def _front(points: list[tuple[float, Contender]]) -> list[tuple[float, Contender]]:
    """Those that no other is at least as cheap and more accurate than (or as accurate and cheaper)."""
    best = -1.0
    kept = []
    for cost, c in sorted(points, key=lambda p: (p[0], -(p[1].accuracy or 0))):
        if (c.accuracy or 0) > best:
            best = c.accuracy or 0
            kept.append((cost, c))
    return kept


def _plot(
    facts: Facts,
    styles: Styles,
    measure: Measure,
    x_title: str,
    about: str,
    words: Callable[[float], str],
    limit: float | None,
) -> Safe | None:
    points = [(v, c) for c in facts.contenders if (v := measure(c)) is not None and v > 0 and c.accuracy is not None]
    free = [c.name for c in facts.contenders if measure(c) == 0]
    if not points:
        return None
    front = _front(points)
    used = list(dict.fromkeys(c.series for _, c in points))
    listing = el(
        "ol",
        [
            el(
                "li",
                el("span", str(facts.rank(c.name)), class_="badge"),
                el("span", user_text(c.name), f": {percent(c.accuracy)}, {words(v)}"),
            )
            for v, c in front
        ],
        class_="front-list",
    )
    return figure(
        lambda size: _draw(size, points, front, facts, styles, x_title, words, limit),
        about=f"{about}. Arrow keys walk the points.",
        title=about,
        caption=[f"Costing nothing, so not on a log scale: {', '.join(free)}."] if free else None,
        below=[key(styles, used), el("p", "On the line, cheapest first:"), listing],
    )


def _draw(
    size: Size,
    points: list[tuple[float, Contender]],
    front: list[tuple[float, Contender]],
    facts: Facts,
    styles: Styles,
    x_title: str,
    words: Callable[[float], str],
    limit: float | None,
) -> list[Safe]:
    plot = Plot(size, top=44 if limit else 26)
    values = [v for v, _ in points] + ([limit] if limit else [])
    low_x, high_x = min(values) / 1.5, max(values) * 1.5
    low, high = share_domain([c.accuracy for _, c in points if c.accuracy is not None])
    x = logarithmic(low_x, high_x, plot.x0 + 8, plot.x1 - 8)
    y = linear(low, high, plot.y0 - 8, plot.y1 + 8)
    ticks = nice_ticks(low * 100, high * 100)
    out = plot.frame(
        [(x(t), significant(t) if t < 1 else number(t, 0)) for t in log_ticks(low_x, high_x)],
        [(y(t / 100), number(t, 1 if any(k % 1 for k in ticks) else 0)) for t in ticks],
        x_title,
        "accuracy, %",
    )
    if limit:
        at = x(limit)
        text = f"your limit: {significant(limit)}"
        room = len(text) * 6.2
        out.append(el("rect", x=at, y=plot.y1, width=max(0.0, plot.x1 - at), height=plot.y0 - plot.y1, class_="beyond"))
        out.append(line(at, plot.y1, at, plot.y0, "limit-line"))
        out.append(label(min(max(at, plot.x0 + room / 2), plot.x1 - room / 2), plot.y1 - 7, text, class_="note"))
    steps = f"M{x(front[0][0]):.1f} {y(front[0][1].accuracy or 0):.1f}"
    for v, c in front[1:]:
        steps += f"H{x(v):.1f}V{y(c.accuracy or 0):.1f}"
    out.append(el("path", d=steps + f"H{plot.x1:.1f}", class_="front-line"))
    on_front = {c.name for _, c in front}
    for v, c in sorted(points, key=lambda p: p[1].name in on_front):
        at_x, at_y = x(v), y(c.accuracy or 0)
        tip = f"{facts.rank(c.name)}. {c.name}\naccuracy {percent(c.accuracy)}, {words(v)}"
        tip += "" if c.within else "\nbreaks a constraint"
        told: dict[str, Any] = {"data_tip": tip, "role": "img", "aria_label": tip.replace("\n", ", ")}
        if c.name in on_front:
            number_text = el("text", str(facts.rank(c.name)), x=at_x, y=at_y + 4, text_anchor="middle", class_="in-mark")
            circle = el("circle", cx=at_x, cy=at_y, r=10, class_=f"mark {styles.colour(c.series)}")
            out.append(el("g", circle, number_text, data_series=styles.place(c.series), **told))
        else:
            mark = styles.mark(c.series, at_x, at_y, hollow=True, **told)
            out.append(el("g", mark, data_series=styles.place(c.series)))
    return out
