"""Reliability plots: how often an answer given with 80 % confidence is right."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Facts, num
from maskfork.view.report.axes import Plot, Size, label, line, linear
from maskfork.view.report.series import Styles
from maskfork.view.words import clip, count, number, percent

PANELS = 8


def calibration_section(facts: Facts, styles: Styles) -> Safe:
    """One small plot a contender: the winner, then the best of each series, then the others."""
    given = facts.figures.get("calibration")
    found = {str(k): v for k, v in given.items() if v} if isinstance(given, Mapping) else {}
    if not found:
        return el("p", "No probabilities were kept, so calibration cannot be shown.")
    names = _order(facts, list(found))
    panels = [_panel(facts, styles, name, found[name]) for name in names[:PANELS]]
    left = names[PANELS:]
    return join(
        [
            el(
                "p",
                "A point on the diagonal keeps its word: of the answers given with 80 % confidence, 80 % are right. ",
                "Below it the model is too sure of itself, above it too modest. Larger points stand for more rows.",
            ),
            el("div", panels, class_="panels"),
            el("p", f"{len(left)} more contenders are in report.json.", class_="quiet") if left else None,
        ]
    )


def _order(facts: Facts, names: list[str]) -> list[str]:
    ranked = [c.name for c in facts.contenders if c.name in names]
    first_of_series: dict[str, str] = {}
    for c in facts.contenders:
        if c.name in names:
            first_of_series.setdefault(c.series, c.name)
    wanted = [facts.winner] if facts.winner in names else []
    return list(dict.fromkeys([n for n in [*wanted, *first_of_series.values(), *ranked, *names] if n]))


def _panel(facts: Facts, styles: Styles, name: str, points: Sequence[Mapping[str, Any]]) -> Safe:
    size = Size(240, 236)
    plot = Plot(size, left=34, right=8, top=30, bottom=40)
    x = linear(0, 1, plot.x0, plot.x1)
    y = linear(0, 1, plot.y0, plot.y1)
    quarters = (0.0, 0.25, 0.5, 0.75, 1.0)
    out = [line(plot.x0, y(t), plot.x1, y(t), "grid") for t in quarters]
    out += [label(plot.x0 - 5, y(t) + 4, number(t * 100, 0), "end") for t in quarters]
    out += [label(x(t), plot.y0 + 15, number(t * 100, 0), "end" if t == 1 else "middle") for t in quarters]
    out.append(line(x(0), y(0), x(1), y(1), "diagonal"))
    out.append(label((plot.x0 + plot.x1) / 2, size.height - 6, "confidence, %", class_="axis-title"))
    out.append(label(2, 11, "right, %", "start", "axis-title"))
    c = facts.contender(name)
    series = c.series if c else name
    dots = []
    for p in points:
        confidence, accuracy, rows = num(p.get("confidence")), num(p.get("accuracy")), num(p.get("count"))
        if confidence is not None and accuracy is not None:
            dots.append((confidence, accuracy, rows or 0.0))
    dots.sort()
    most = max((d[2] for d in dots), default=1.0) or 1.0
    if len(dots) > 1:
        d = "M" + "L".join(f"{x(a):.1f} {y(b):.1f}" for a, b, _ in dots)
        out.append(el("path", d=d, class_=f"curve thin {styles.colour(series)}"))
    for confidence, accuracy, rows in dots:
        tip = f"{name}\n{count(rows)} rows, confidence {percent(confidence)}\nright {percent(accuracy)}"
        mark = styles.mark(series, x(confidence), y(accuracy), 2.5 + 3 * math.sqrt(rows / most))
        out.append(el("g", mark, data_tip=tip, role="img", aria_label=tip.replace("\n", ", ")))
    about = f"Reliability of {name}"
    words = f"ECE {number(c.ece, 3)}" if c and c.ece is not None else None
    if c and c.ece is not None and c.ece_ci is not None:
        words = f"ECE {number(c.ece, 3)} ({number(c.ece_ci[0], 3)} to {number(c.ece_ci[1], 3)})"
    return el(
        "figure",
        el("figcaption", el("strong", user_text(clip(name, 60), title=name)), el("span", words) if words else None),
        el("svg", out, viewBox=f"0 0 {size.width} {size.height}", class_="plot", role="group", aria_label=about),
    )
