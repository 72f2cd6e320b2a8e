"""The held-out rows on which contenders disagree: where reading pays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Facts, text

OPEN = 8  # rows shown before the rest is folded
KEPT = 300  # rows a page can hold and still scroll well
SHORT = 260  # characters shown before a text is folded


def disagree_section(facts: Facts) -> Safe:
    """Text, truth, and the contenders by what they answered."""
    given = facts.figures.get("disagreements")
    rows = [r for r in given if isinstance(r, Mapping)] if isinstance(given, (list, tuple)) else []
    if not rows:
        return el("p", "No row was kept on which the contenders disagree.")
    shown = rows[:KEPT]
    cards = [_card(r) for r in shown]
    rest = cards[OPEN:]
    cut = f"Of {len(rows)} rows the first {KEPT} are here; report.json holds them all." if len(rows) > KEPT else None
    return join(
        [
            el("p", "Rows where the answers differ, with the true label. Sometimes the label is what is wrong."),
            el("div", cards[:OPEN], class_="cards"),
            el("details", el("summary", f"The other {len(rest)} rows"), el("div", rest, class_="cards")) if rest else None,
            el("p", cut, class_="quiet") if cut else None,
        ]
    )


def _card(row: Mapping[str, Any]) -> Safe:
    truth = text(row.get("label"))
    answers = row.get("answers")
    groups: dict[str, list[str]] = {}
    for name, answer in answers.items() if isinstance(answers, Mapping) else ():
        groups.setdefault(text(answer), []).append(str(name))
    ordered = sorted(groups.items(), key=lambda g: (g[0] != truth, -len(g[1])))
    lines = [
        el(
            "li",
            _verdict(answer == truth),
            el("span", user_text(answer), class_="answer"),
            el("span", [[", " if i else None, user_text(n)] for i, n in enumerate(names)], class_="by"),
        )
        for answer, names in ordered
    ]
    return el(
        "article",
        el("p", "Row ", user_text(text(row.get("row_id"))), " · truth ", el("strong", user_text(truth)), class_="row-head"),
        _body(text(row.get("text"))),
        _body(text(row.get("pair")), "second text") if row.get("pair") else None,
        el("ul", lines, class_="answers"),
        class_="card",
    )


def _verdict(right: bool) -> Safe:
    return el("span", "✓ right", class_="mark-right") if right else el("span", "✗ wrong", class_="mark-wrong")


def _body(words: str, about: str | None = None) -> Safe:
    """A text; a long one folds behind its own beginning."""
    tag = el("span", about, class_="quiet small") if about else None
    if len(words) <= SHORT:
        return el("blockquote", tag, words or "(empty text)", dir="auto")
    cut = words.rfind(" ", SHORT - 60, SHORT)
    start = words[: cut if cut > 0 else SHORT]
    summary = el("summary", el("span", start, dir="auto"), el("span", f" … all {len(words):,} characters", class_="unfold"))
    return el("blockquote", tag, el("details", summary, el("div", words, dir="auto", class_="whole")), dir="auto")
