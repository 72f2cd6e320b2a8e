"""The audit as one page that loads nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from maskfork.view.audit.columns import columns_of
from maskfork.view.audit.terminal import SIGNS, about, headline
from maskfork.view.html import Safe, document, el, join, user_text
from maskfork.view.words import count, percent

OPEN, MOST = 20, 500  # rows shown at once, and at most: the rest is in the JSON


def audit_html(report: Mapping[str, Any]) -> str:
    """The page of a report as --json prints it."""
    findings = report["findings"]
    worst = next((level for level in SIGNS if any(f["level"] == level for f in findings)), "good")
    links = [el("li", el("a", f["check"], href=f"#finding-{i}")) for i, f in enumerate(findings)]
    hero = el(
        "header",
        el("h1", user_text(headline(report))),
        el("p", user_text(about(report)), class_="quiet"),
        class_=f"hero {worst}",
    )
    body = el(
        "main",
        hero,
        el("nav", el("ul", links), aria_label="Findings") if links else None,
        [_finding(i, f, report["files"]) for i, f in enumerate(findings)],
        _section("labels", "Rows of each label", _bars(report["labels"])) if report["labels"] else None,
        _list("passed", "Nothing found", [f"{name}: {why}" for name, why in report["passed"].items()]),
        _list("skipped", "Not looked for", [f"{name}: {why}" for name, why in report["skipped"].items()]),
        _list("notes", "How the files were read", report["notes"]),
    )
    return document(title=f"maskfork audit: {headline(report)}", body=body, css=_css())


def write_audit_html(report: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the page at once. Raises OSError."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.part")
    draft.write_text(audit_html(report), encoding="utf-8", newline="\n")
    draft.replace(target)


def _finding(number: int, finding: Mapping[str, Any], names: list[str]) -> Safe:
    kind = "note-level" if finding["level"] == "note" else finding["level"]
    rows = finding["rows"]
    inner: list[Safe | None] = [el("p", finding["advice"], class_="advice")]
    if len(finding["names"]) > 1:
        inner.append(_bars(finding["names"]))
    if rows:
        inner.append(_table(finding, rows[:OPEN], names))
    if len(rows) > OPEN:
        rest = rows[OPEN:MOST]
        inner.append(el("details", el("summary", f"{count(len(rest))} more rows"), _table(finding, rest, names)))
    if len(rows) > MOST:
        inner.append(el("p", f"{count(len(rows) - MOST)} further rows are in the JSON (--json).", class_="quiet"))
    key = f"finding-{number}"
    heading = el("h2", user_text(finding["title"]), id=f"{key}-title")
    return el("section", heading, inner, id=key, class_=f"finding {kind}", aria_labelledby=f"{key}-title")


def _table(finding: Mapping[str, Any], rows: list[Mapping[str, Any]], names: list[str]) -> Safe:
    columns = columns_of(finding, names)
    head = el("tr", [el("th", c.title, scope="col", class_="num" if c.right else None) for c in columns])

    def cell(column: Any, hit: Mapping[str, Any]) -> Safe:
        value = column.value(hit)
        kind = "num" if column.right else "wide" if column.title in ("text", "second text") else None
        return el("td", user_text(value) if column.user and value else value, class_=kind, data_label=column.title)

    body = [el("tr", [cell(column, hit) for column in columns]) for hit in rows]
    return el("table", el("thead", head), el("tbody", body), class_="plain rows")


def _bars(labels: Mapping[str, int]) -> Safe:
    most, total = max(labels.values()), sum(labels.values())

    def bar(name: str, rows: int) -> Safe:
        shape = el("rect", width=float(100 * rows / most), height=10, class_="bar")
        box = {"viewBox": "0 0 100 10", "preserveAspectRatio": "none", "height": 10, "width": "100%"}
        drawing = el("svg", shape, aria_hidden="true", **box)
        share = f"{count(rows)} ({percent(rows / total)})"
        return el("li", user_text(name), el("span", drawing), el("span", share, class_="num"))

    items = [bar(name, rows) for name, rows in labels.items()]
    shown = el("ul", items[:OPEN], class_="bars")
    if len(items) <= OPEN:
        return shown
    rest = el("details", el("summary", f"{count(len(items) - OPEN)} more labels"), el("ul", items[OPEN:], class_="bars"))
    return join([shown, rest])


def _list(key: str, title: str, lines: list[str]) -> Safe | None:
    return _section(key, title, el("ul", [el("li", user_text(line)) for line in lines])) if lines else None


def _section(key: str, title: str, inner: Safe) -> Safe:
    return el("section", el("h2", title, id=f"{key}-title"), inner, id=key, aria_labelledby=f"{key}-title")


def _css() -> str:
    shared = files("maskfork.view.report").joinpath("style.css").read_text(encoding="utf-8")
    return shared + files("maskfork.view.audit").joinpath("page.css").read_text(encoding="utf-8")
