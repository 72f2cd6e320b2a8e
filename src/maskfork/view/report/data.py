"""The rows, and how to run it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskfork.view.html import Safe, el, join, user_text
from maskfork.view.reading import Facts, num
from maskfork.view.words import count, percent

AGAIN = "The same command on the same file, machine and version repeats this report; finished contenders are reused."
OPEN = 12  # labels shown before the rest is folded


def data_section(facts: Facts) -> Safe:
    """Rows, labels, duplicates, leaks, and every note that was printed."""
    data = facts.data
    if not data:
        return el("p", "The report says nothing about its data.")
    said = [
        ("File", data.get("path")),
        ("Rows", data.get("rows")),
        ("Rows to train on", data.get("train")),
        ("Held-out rows", data.get("test")),
        ("Duplicates removed from train", data.get("duplicates")),
        ("Rows of train that leaked from the held-out rows (exact), removed", data.get("leaked")),
        ("The same, nearly equal", data.get("near_leaked")),
        ("Text column", data.get("text_column")),
        ("Second text column", data.get("pair_column")),
        ("Label column", data.get("label_column")),
        ("Encoding", data.get("encoding")),
    ]
    notes = data.get("notes")
    items = [el("li", user_text(n)) for n in notes] if isinstance(notes, (list, tuple)) else []
    return join(
        [
            el("dl", [_entry(k, v) for k, v in said if v is not None and v != ""], class_="facts"),
            _labels(data.get("labels")),
            [el("h3", "Notes"), el("ul", items)] if items else None,
        ]
    )


def _entry(name: str, value: Any) -> Safe:
    if isinstance(value, Mapping):
        written: object = el("dl", [_entry(str(k), v) for k, v in value.items()], class_="inner")
    elif isinstance(value, (list, tuple)):
        written = user_text(", ".join(map(str, value)) or "none")
    elif isinstance(value, bool) or value is None:
        written = {True: "yes", False: "no", None: "not known"}[value]
    elif isinstance(value, int):
        written = count(value)
    else:
        written = user_text(str(value))
    return el("div", el("dt", user_text(name)), el("dd", written))


def _labels(labels: Any) -> Safe | None:
    found = [(str(k), num(v) or 0.0) for k, v in labels.items()] if isinstance(labels, Mapping) else []
    if not found:
        return None
    found.sort(key=lambda kv: -kv[1])
    total = sum(v for _, v in found) or 1.0
    most = found[0][1] or 1.0
    rest = found[OPEN:]
    return join(
        [
            el("h3", f"Labels ({len(found)})"),
            _bars(found[:OPEN], total, most),
            el("details", el("summary", f"The other {len(rest)} labels"), _bars(rest, total, most)) if rest else None,
        ]
    )


def _bars(rows: Sequence[tuple[str, float]], total: float, most: float) -> Safe:
    items = []
    for name, rows_of in rows:
        bar = el("rect", x=0, y=2, width=f"{max(0.5, rows_of / most * 100):.1f}%", height=10, rx=2, class_="bar")
        drawing = el("svg", bar, width="100%", height=14, aria_hidden="true")
        words = f"{count(rows_of)} ({percent(rows_of / total)})"
        items.append(el("li", el("span", user_text(name)), el("span", drawing), el("span", words, class_="num")))
    return el("ul", items, class_="bars")


def environment_section(facts: Facts) -> Safe:
    """The command and the machine."""
    command = facts.raw.get("command")
    words = " ".join(map(str, command)) if isinstance(command, (list, tuple)) else str(command or "")
    environment = facts.raw.get("environment")
    entries = [_entry(str(k), v) for k, v in environment.items()] if isinstance(environment, Mapping) else []
    return join(
        [
            [
                el("p", AGAIN),
                el("pre", el("code", words), tabindex=0, aria_label="The command"),
            ]
            if words
            else el("p", "The command was not recorded."),
            el("dl", entries, class_="facts") if entries else el("p", "The environment was not recorded."),
        ]
    )
