"""Learning curves: accuracy against labelled rows, with the crossover."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import PROMPTED, Facts, Range, num, span
from maskfork.view.report.axes import Plot, Scale, Size, figure, label, line, linear, nice_ticks, share_domain
from maskfork.view.report.series import Styles, key
from maskfork.view.words import count, number, percent, percent_range


@dataclass(frozen=True)
class _Point:
    budget: float
    accuracy: float
    ci: Range | None


HEADS = ("Series", "Labelled rows", "Accuracy", "95 % interval")
Curves = dict[str, list[_Point]]


def curves_section(facts: Facts, styles: Styles) -> Safe:
    """The section, also where there is nothing to draw."""
    curves = _read(facts)
    if not curves:
        return join([el("p", "No learning curve was measured in this run."), _crossover_words(facts)])
    prompted = any(styles.prompted(name) for name in curves)
    caption = [
        "Held-out accuracy by the number of labelled rows used in all; bars are 95 % intervals over rows and seeds. ",
        "The axis of rows is logarithmic, with zero set apart at its left; the accuracy axis does not start at zero. ",
        "Thin dashed lines carry a prompted model's last budget on: it uses no more labels. " if prompted else None,
        "Bars that overlap do not mean “no difference”: the paired differences above decide.",
    ]
    picture = figure(
        lambda size: _draw(size, curves, facts, styles),
        about="Learning curves: accuracy by labelled rows. Arrow keys walk the points.",
        below=key(styles, list(curves)),
        caption=caption,
    )
    return join([_crossover_words(facts), picture, _table(curves)])


def _read(facts: Facts) -> Curves:
    given = facts.figures.get("curves")
    curves: Curves = {}
    for series, points in given.items() if isinstance(given, dict) else ():
        found = []
        for p in points or ():
            budget, accuracy = num(p.get("budget")), num(p.get("accuracy"))
            if budget is not None and accuracy is not None:
                found.append(_Point(budget, accuracy, span(p.get("ci"))))
        if found:
            curves[str(series)] = sorted(found, key=lambda p: p.budget)
    order = {name: i for i, name in enumerate(facts.series)}
    return dict(sorted(curves.items(), key=lambda kv: order.get(kv[0], len(order))))


def _crossover_words(facts: Facts) -> Safe | None:
    found = facts.crossover
    if found is None:
        none_found = "No crossover of a fine-tuned encoder over a prompted decoder was found within the budgets."
        prompted = any(c.kind in PROMPTED for c in facts.contenders)
        note = facts.crossover_note or (none_found if prompted else "No prompted model ran, so there is none to look for.")
        return el("p", el("strong", "Crossover. "), user_text(note))
    low = "below the smallest budget" if found.low is None else count(found.low)
    high = "beyond the largest budget" if found.high is None else count(found.high)
    return el(
        "p",
        el("strong", "Crossover. "),
        ["From about ", el("strong", count(found.budget), " labelled rows"), f" on (95 % interval {low} to {high}), "],
        [user_text(found.encoder or "the encoder"), " is above ", user_text(found.decoder or "the decoder"), "."],
        [" ", user_text(facts.crossover_note)] if facts.crossover_note else None,
    )


def _x_scale(curves: Curves, plot: Plot) -> tuple[Scale, bool]:
    """Logarithmic, with a place of its own for zero; says whether zero is on it."""
    budgets = sorted({p.budget for points in curves.values() for p in points})
    above = [b for b in budgets if b > 0]
    zero = bool(budgets) and budgets[0] <= 0
    if not above:
        return (lambda _: (plot.x0 + plot.x1) / 2), zero
    pad = 20 if plot.size.narrow else 34
    start = plot.x0 + pad + ((44 if plot.size.narrow else 90) if zero else 0)
    inner = linear(math.log10(above[0]), math.log10(above[-1]), start, plot.x1 - pad)
    return (lambda b: plot.x0 + pad if b <= 0 else inner(math.log10(b))), zero


def _draw(size: Size, curves: Curves, facts: Facts, styles: Styles) -> list[Safe]:
    plot = Plot(size, top=44)
    every = [p for points in curves.values() for p in points]
    low, high = share_domain([v for p in every for v in (p.accuracy, *(p.ci or ()))])
    x, has_zero = _x_scale(curves, plot)
    y = linear(low, high, plot.y0, plot.y1)
    budgets = sorted({p.budget for p in every})
    ticks = nice_ticks(low * 100, high * 100)
    digits = 1 if any(t % 1 for t in ticks) else 0
    out = plot.frame(
        [(x(b), count(b)) for b in budgets],
        [(y(t / 100), number(t, digits)) for t in ticks],
        "labelled rows (log scale)" if len(budgets) > 1 else "labelled rows",
        "accuracy, %",
    )
    if has_zero and len(budgets) > 1:
        middle = (x(budgets[0]) + x(budgets[1])) / 2
        out.append(el("path", d=f"M{middle - 5:.0f} {plot.y0 + 5:.0f}l4 -10m2 10l4 -10", class_="axis"))
    out += _band(plot, facts, x)
    for i, (name, points) in enumerate(curves.items()):
        shift = (i - (len(curves) - 1) / 2) * (2.5 if size.narrow else 5)  # bars beside each other, not on top
        out.append(_one(name, points, shift, plot, x, y, styles))
    return out


def _band(plot: Plot, facts: Facts, x: Scale) -> list[Safe]:
    found = facts.crossover
    if found is None:
        return []

    def inside(v: float) -> float:
        return min(plot.x1, max(plot.x0, x(v)))

    left = plot.x0 if found.low is None else inside(found.low)
    right = plot.x1 if found.high is None else inside(found.high)
    at = inside(found.budget)
    words = f"crossover near {count(found.budget)}"
    half = len(words) * 3.3
    return [
        el("rect", x=left, y=plot.y1, width=max(2.0, right - left), height=plot.y0 - plot.y1, class_="crossover-band"),
        line(at, plot.y1, at, plot.y0, "crossover-line"),
        label(min(max(at, plot.x0 + half), plot.x1 - half), plot.y1 - 7, words, class_="note"),
    ]


def _one(name: str, points: list[_Point], shift: float, plot: Plot, x: Scale, y: Scale, styles: Styles) -> Safe:
    colour = styles.colour(name)
    drawn: list[Safe] = []
    places = [(x(p.budget) + shift, y(p.accuracy)) for p in points]
    if len(places) > 1:
        d = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
        drawn.append(el("path", d=d, class_=f"curve {colour}", stroke_dasharray=styles.dash(name)))
    if styles.prompted(name):
        drawn.append(line(places[-1][0], places[-1][1], plot.x1, places[-1][1], f"carried {colour}"))
    for p, (px, _) in zip(points, places, strict=True):
        if p.ci is not None:
            top, bottom = y(p.ci[1]), y(p.ci[0])
            d = f"M{px - 3:.1f} {top:.1f}h6m-3 0V{bottom:.1f}m-3 0h6"
            drawn.append(el("path", d=d, class_=f"whisker {colour}"))
    for p, (px, py) in zip(points, places, strict=True):
        tip = f"{name}\n{count(p.budget)} labelled rows\naccuracy {percent(p.accuracy)}"
        tip += f" ({percent_range(p.ci)})" if p.ci else ""
        drawn.append(styles.mark(name, px, py, data_tip=tip, role="img", aria_label=tip.replace("\n", ", ")))
    return el("g", drawn, data_series=styles.place(name))


def _table(curves: Curves) -> Safe:
    rows = [
        el(
            "tr",
            el("th", user_text(name), scope="row"),
            el("td", count(p.budget), data_label="Labelled rows", class_="num"),
            el("td", percent(p.accuracy), data_label="Accuracy", class_="num"),
            el("td", percent_range(p.ci), data_label="95 % interval", class_="num"),
        )
        for name, points in curves.items()
        for p in points
    ]
    head = el("thead", el("tr", [el("th", t, scope="col", class_="num" if i else None) for i, t in enumerate(HEADS)]))
    return el("details", el("summary", "The curves as a table"), el("table", head, el("tbody", rows), class_="plain"))
