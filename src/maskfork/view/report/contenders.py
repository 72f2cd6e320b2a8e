"""The table of contenders: sortable, a card each on a phone."""

from __future__ import annotations

from collections.abc import Callable

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Contender, Facts, Range
from maskfork.view.report.series import Styles
from maskfork.view.words import (
    MISSING,
    count,
    duration,
    listing,
    megabytes,
    milliseconds,
    number,
    percent,
    percent_range,
    rate,
    significant,
)

Column = tuple[str, str, bool, Callable[[Contender], float | None], Callable[[Contender], object]]


def contenders_section(facts: Facts, styles: Styles) -> Safe:
    """Table, the contenders that did not run, and how to read it."""
    if not facts.contenders:
        return join([el("p", "No contender was run."), _not_run(facts)])
    return join(
        [
            el(
                "p",
                "Most accurate first; the number of each is its place and its sign in the plots. Intervals are 95 %, "
                "over rows and seeds. Do not compare two of them by eye: the differences below do it rightly.",
            ),
            _chooser(),
            _table(facts, styles),
            _not_run(facts),
        ]
    )


def _columns() -> list[Column]:
    """(title, unit or note, larger is better, value to sort by, what is written)."""
    return [
        ("Accuracy", "", True, lambda c: c.accuracy, lambda c: _with_range(percent(c.accuracy), c.accuracy_ci)),
        ("Macro-F1", "", True, lambda c: c.macro_f1, lambda c: _with_range(percent(c.macro_f1), c.macro_f1_ci)),
        ("ECE", "calibration error", False, lambda c: c.ece, lambda c: number(c.ece, 3)),
        ("p50", "one text", False, lambda c: c.p50, lambda c: milliseconds(c.p50)),
        ("p99", "one text", False, lambda c: c.p99, lambda c: milliseconds(c.p99)),
        ("Throughput", "texts a second", True, lambda c: c.throughput, lambda c: rate(c.throughput)),
        ("Memory", "peak", False, lambda c: c.memory_mb, lambda c: megabytes(c.memory_mb)),
        ("Disk", "", False, lambda c: c.disk_mb, lambda c: megabytes(c.disk_mb)),
        ("Cost", "per million texts", False, lambda c: c.cost, lambda c: significant(c.cost)),
    ]


def _with_range(value: str, ci: Range | None) -> Safe:
    interval = el("span", percent_range(ci).replace("\u00a0%", ""), class_="range") if ci else None
    return join([el("b", value), interval])


def _chooser() -> Safe:
    """Sorting where the heads of the columns are not shown."""
    options = [el("option", "Place", value=0)]
    options += [el("option", title, value=i) for i, (title, *_) in enumerate(_columns(), 2)]
    return el("label", "Sort by ", el("select", options), class_="chooser", hidden=True)


def _table(facts: Facts, styles: Styles) -> Safe:
    heads = [_head("#", "", False), _head("Contender", "", False)]
    heads += [_head(title, note, better) for title, note, better, _, _ in _columns()]
    asked = bool(facts.constraints) or any(not c.within for c in facts.contenders)
    if asked:
        heads.append(_head("Constraints", "", False))
    rows = [_row(i, c, facts, styles, asked) for i, c in enumerate(facts.contenders, 1)]
    return el(
        "table",
        el("caption", "Contenders, with the quality, speed and cost of each", class_="hidden"),
        el("thead", el("tr", heads)),
        el("tbody", rows),
        class_="contenders",
        id="contenders-table",
    )


def _head(title: str, note: str, larger_better: bool) -> Safe:
    first = "descending" if larger_better else "ascending"
    small = el("small", note) if note else None
    num = None if title in ("Contender", "Constraints") else "num"
    button = el("button", el("span", title, class_="sort-title"), small, type="button", data_first=first)
    return el("th", button, scope="col", class_=num)


def _row(place: int, c: Contender, facts: Facts, styles: Styles, asked: bool) -> Safe:
    winner = c.name == facts.winner
    tags = [
        el("span", "recommended", class_="tag good") if winner else None,
        el("span", "on the front", class_="tag", title="no other is both better and cheaper") if c.on_front else None,
    ]
    sign = el("svg", styles.mark(c.series, 8, 8), viewBox="0 0 16 16", width=16, height=16, aria_hidden="true")
    cells = [
        el("td", str(place), data_value=place, class_="place"),
        el(
            "th",
            el("div", sign, user_text(c.name), class_="who"),
            el("div", tags, class_="tags"),
            _details(c),
            scope="row",
            data_value=c.name.casefold(),
        ),
    ]
    for title, _, _, value, shown in _columns():
        key = value(c)
        written = shown(c)
        if key is None:
            written = el("span", MISSING, title="not measured", aria_label="not measured", role="img")
        cells.append(el("td", written, class_="num", data_label=title, data_value="" if key is None else repr(key)))
    if asked:
        cells.append(_keeps(c))
    classes = " ".join(k for k, yes in (("winner", winner), ("breaks", not c.within)) if yes)
    return el("tr", cells, class_=classes or None)


def _keeps(c: Contender) -> Safe:
    if c.within:
        return el("td", "✓ kept", data_label="Constraints", data_value=0, class_="keeps")
    why = [el("span", "✗ ", user_text(b), class_="broken") for b in c.broken]
    return el("td", why or el("span", "✗ broken", class_="broken"), data_label="Constraints", data_value=1, class_="keeps")


def _details(c: Contender) -> Safe | None:
    facts = [
        ("Labelled rows", None if c.budget is None else count(c.budget)),
        ("Model", c.base or None),
        ("Seeds", listing(c.seeds) or None),
        ("Fitted in", None if c.fit_seconds is None else duration(c.fit_seconds) + " (min:s)"),
        ("Brier score", None if c.brier is None else number(c.brier, 3)),
        ("Negative log-likelihood", None if c.nll is None else number(c.nll, 3)),
        ("ECE interval", None if c.ece_ci is None else f"{number(c.ece_ci[0], 3)} to {number(c.ece_ci[1], 3)}"),
        ("Latency measured on", None if c.runs is None else f"{count(c.runs)} runs"),
    ]
    said = [el("div", el("dt", k), el("dd", user_text(v))) for k, v in facts if v]
    notes = [el("li", user_text(n)) for n in c.notes]
    if not said and not notes:
        return None
    return el("details", el("summary", "more"), el("dl", said), el("ul", notes) if notes else None, class_="more")


def _not_run(facts: Facts) -> Safe | None:
    if not facts.not_run:
        return None
    items = [el("li", el("strong", user_text(name)), ": ", user_text(why)) for name, why in facts.not_run]
    return el("div", el("h3", "Not run"), el("ul", items), class_="not-run")
