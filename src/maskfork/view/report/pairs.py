"""Every pair that was compared: a forest plot that is also a table."""

from __future__ import annotations

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Facts, Pair
from maskfork.view.report.strip import Strip
from maskfork.view.words import p_value, points, points_range

OPEN = 16  # pairs shown before the rest is folded


def pairs_section(facts: Facts) -> Safe:
    """The section, also where fewer than two contenders ran."""
    if not facts.pairs:
        return el("p", "Fewer than two contenders were compared, so there is no difference to show.")
    pairs = _ordered(facts)
    strip = Strip(pairs)
    told = join(
        [
            el(
                "p",
                "Accuracy of the first minus the second on the same held-out rows, in percentage points, with its 95 % "
                "interval (paired bootstrap over rows and seeds). A line that crosses zero means: these rows cannot "
                "tell. McNemar’s exact test takes one seed of each; Holm corrects it for the number of pairs.",
            ),
            _table(pairs[:OPEN], strip),
        ]
    )
    rest = pairs[OPEN:]
    if not rest:
        return told
    return join([told, el("details", el("summary", f"The other {len(rest)} pairs"), _table(rest, strip))])


def _ordered(facts: Facts) -> list[Pair]:
    """The winner's pairs first, the better ranked ahead."""
    far = len(facts.contenders) + 1
    ranks = {c.name: i for i, c in enumerate(facts.contenders)}

    def place(pair: Pair) -> tuple[bool, int, int]:
        a, b = ranks.get(pair.a, far), ranks.get(pair.b, far)
        return facts.winner not in (pair.a, pair.b), min(a, b), max(a, b)

    def upright(pair: Pair) -> Pair:
        return pair.turned() if ranks.get(pair.b, far) < ranks.get(pair.a, far) else pair

    return [upright(pair) for pair in sorted(facts.pairs, key=place)]


def _table(pairs: list[Pair], strip: Strip) -> Safe:
    heads = [
        el("th", "First minus second", scope="col"),
        el("th", strip.axis(), el("span", "Interval around the difference", class_="hidden"), scope="col", class_="wide-cell"),
        *[el("th", t, scope="col", class_="num") for t in ("Difference, points", "McNemar\u00a0p", "Holm\u00a0p")],
        el("th", "Better", scope="col"),
    ]
    return el("table", el("thead", el("tr", heads)), el("tbody", [_row(p, strip) for p in pairs]), class_="plain forest")


def _row(pair: Pair, strip: Strip) -> Safe:
    better: object = "cannot tell"
    if pair.separated and pair.better is not None:
        better = el("strong", user_text(pair.better))
    interval = f" ({points_range(pair.ci)})" if pair.ci else ""
    return el(
        "tr",
        el("th", user_text(pair.a), el("span", " minus ", class_="quiet"), user_text(pair.b), scope="row"),
        el("td", strip.row(pair), class_="wide-cell", data_label=""),
        el("td", el("b", points(pair.difference)), interval, class_="num", data_label="Difference, points"),
        el("td", p_value(pair.mcnemar_p), class_="num", data_label="McNemar p"),
        el("td", p_value(pair.holm_p), class_="num", data_label="Holm p"),
        el("td", better, data_label="Better", class_="verdict"),
    )
