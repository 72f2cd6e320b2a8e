"""What the winner mixes up: the matrix, and its largest mistakes in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Facts, num
from maskfork.view.report.axes import CHAR, Size, figure, label
from maskfork.view.words import clip, count, percent

NAMED = 24  # labels that still have room for a name each
WORST = 12
HEADS = (("Truth", None), ("Answered", None), ("Rows", "num"), ("Of that label", "num"))
HEAD, TURN = 13, 55  # characters and degrees of a column's name


@dataclass(frozen=True)
class _Matrix:
    name: str
    labels: list[str]
    cells: list[list[float]]  # [truth][answer] rows

    def total(self, truth: int) -> float:
        return sum(self.cells[truth])

    def share(self, truth: int, answer: int) -> float:
        total = self.total(truth)
        return self.cells[truth][answer] / total if total else 0.0


def confusion_section(facts: Facts) -> Safe:
    """The section, also where no matrix was kept."""
    matrix = _read(facts.figures.get("confusion"))
    if matrix is None:
        return el("p", "No confusion matrix was kept in this run.")
    n = len(matrix.labels)
    named = n <= NAMED
    wide, narrow = (
        Size(width, round(at.top + at.side * n + 6), narrow=width < 400)
        for width, at in ((w, _Layout.of(matrix, w)) for w in (760, 330))
    )
    note = None if named else f" With {n} labels the names are in the list below and in each cell's own words."
    picture = figure(
        lambda size: _draw(size, matrix),
        about=f"Confusion matrix of {matrix.name}. Arrow keys walk the cells.",
        wide=wide,
        narrow=narrow,
        caption=[
            "Rows are the true labels, columns the answers of ",
            user_text(matrix.name),
            "; the darker a cell, the larger its share of the true label’s rows. The diagonal is right.",
            note,
        ],
    )
    return join([picture, _worst(matrix)])


def _read(value: Any) -> _Matrix | None:
    if not isinstance(value, Mapping) or not value.get("labels") or not value.get("matrix"):
        return None
    labels = [str(x) for x in value["labels"]]
    cells = [[num(v) or 0.0 for v in row] for row in value["matrix"]]
    if len(cells) != len(labels) or any(len(row) != len(labels) for row in cells):
        return None
    return _Matrix(str(value.get("name") or "the winner"), labels, cells)


@dataclass(frozen=True)
class _Layout:
    """Where the cells lie in a drawing `width` pixels wide."""

    named: bool
    left: float
    top: float
    side: float

    @classmethod
    def of(cls, matrix: _Matrix, width: int) -> _Layout:
        n = len(matrix.labels)
        if n > NAMED:
            return cls(False, 30.0, 26.0, (width - 46) / n)
        longest = max(cell_len(clip(name, 24)) for name in matrix.labels) * CHAR
        left = min(88.0 if width < 400 else 170.0, max(56.0, longest + 14))
        top = 30 + min(longest, HEAD * CHAR) * math.sin(math.radians(TURN))
        lean = min(longest, HEAD * CHAR) * math.cos(math.radians(TURN))  # the last head leans over the right edge
        return cls(True, left, top, min(64.0, (width - left - lean - 8) / n))


def _draw(size: Size, matrix: _Matrix) -> list[Safe]:
    n = len(matrix.labels)
    layout = _Layout.of(matrix, size.width)
    named, left, top, side = layout.named, layout.left, layout.top, layout.side
    out: list[Safe] = []
    if named:
        room = int((left - 8) / CHAR)
        for i, name in enumerate(matrix.labels):
            out.append(label(left - 6, top + (i + 0.5) * side + 4, clip(name, room), "end"))
            x, y = left + (i + 0.5) * side + 3, top - 6
            out.append(label(x, y, clip(name, HEAD), "start", transform=f"rotate({-TURN} {x:.1f} {y:.1f})"))
    out.append(label(left if named else 72, 12 if named else 16, "answer →", "start", "axis-title"))
    out.append(label(2, top - 6 if named else 16, "truth ↓", "start", "axis-title"))
    for truth in range(n):
        for answer in range(n):
            rows = matrix.cells[truth][answer]
            if named or rows:
                out.append(_one(matrix, truth, answer, left, top, side, named))
    if not named:
        out.append(el("rect", x=left, y=top, width=side * n, height=side * n, class_="axis"))
    return out


def _one(matrix: _Matrix, truth: int, answer: int, left: float, top: float, side: float, named: bool) -> Safe:
    rows, share = matrix.cells[truth][answer], matrix.share(truth, answer)
    x, y = left + answer * side, top + truth * side
    gap = 1.0 if side > 8 else 0.0
    tip = f"truth: {matrix.labels[truth]}\nanswer: {matrix.labels[answer]}\n"
    tip += f"{count(rows)} rows, {percent(share)} of this label"
    colour = "right" if truth == answer else "wrong"
    strength = 0.0 if not rows else 0.12 + 0.88 * share if named else 0.3 + 0.7 * share
    parts = [
        el("rect", x=x, y=y, width=side - gap, height=side - gap, class_="cell-ground") if named else None,
        el("rect", x=x, y=y, width=side - gap, height=side - gap, class_=f"cell {colour}", fill_opacity=strength),
    ]
    words = count(rows)
    if named and len(words) * 8 + 2 < side and (rows or side >= 22):
        deep = " deep" if strength > 0.55 else ""
        faint = " faint" if not rows else ""
        parts.append(label(x + side / 2, y + side / 2 + 4, words, class_=f"cell-text{deep}{faint}"))
    return el("g", parts, data_tip=tip, role="img", aria_label=tip.replace("\n", ", "))


def _worst(matrix: _Matrix) -> Safe:
    n = len(matrix.labels)
    wrong = [(matrix.cells[t][a], t, a) for t in range(n) for a in range(n) if t != a and matrix.cells[t][a] > 0]
    wrong.sort(key=lambda w: (-w[0], w[1], w[2]))
    if not wrong:
        return el("p", "It answered every held-out row rightly.")
    rows = [
        el(
            "tr",
            el("td", user_text(matrix.labels[t]), data_label="Truth"),
            el("td", user_text(matrix.labels[a]), data_label="Answered"),
            el("td", count(rows), data_label="Rows", class_="num"),
            el("td", percent(matrix.share(t, a)), data_label="Of that label", class_="num"),
        )
        for rows, t, a in wrong[:WORST]
    ]
    head = el("thead", el("tr", [el("th", t, scope="col", class_=c) for t, c in HEADS]))
    title = f"The {len(rows)} largest mix-ups of {len(wrong)}" if len(wrong) > len(rows) else "Every mix-up"
    return el("div", el("h3", title), el("table", head, el("tbody", rows), class_="plain"))
