"""A distillation as one page that loads nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from maskfork.view.distil.rows import compared, headline, sentences
from maskfork.view.html import Safe, document, el, user_text
from maskfork.view.words import count, percent, significant

_SQUARE = 20  # labels up to which a table of all by all is readable


def distill_html(record: Mapping[str, Any]) -> str:
    """The page of distill.json."""
    names = f"Teacher: {record['teacher']['name']}; student: {record['student']}. {record['what']}"
    rows = [(user_text(what), user_text(teacher), user_text(student)) for what, teacher, student in compared(record)]
    body = el(
        "main",
        el("header", el("h1", user_text(headline(record))), el("p", user_text(names), class_="quiet"), class_="hero"),
        _section("compared", "Teacher and student", _table(("", "teacher", "student"), rows)),
        _section("told", "What it took, and what is in doubt", el("ul", [el("li", user_text(one)) for one in sentences(record)])),
        _confusion(record),
        _noise(record),
        _section("labels", "What the teacher said", _labels(record)),
        _section(
            "notes", "Notes", el("ul", [el("li", user_text(note)) for note in [*record["data"]["notes"], *record["notes"]]])
        ),
        _section("again", "How to do it again", el("pre", user_text(record["command"] or "maskfork distill ..."))),
    )
    css = files("maskfork.view.report").joinpath("style.css").read_text(encoding="utf-8")
    return document(title=f"maskfork distill: {headline(record)}", body=body, css=css)


def write_distill_html(record: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes the page at once. Raises OSError."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.part")
    draft.write_text(distill_html(record), encoding="utf-8", newline="\n")
    draft.replace(target)


def _confusion(record: Mapping[str, Any]) -> Safe | None:
    """Gold rows: rows are true labels, columns what the teacher said."""
    names = record["labels"]
    if len(names) > _SQUARE:
        return None
    head = ("true label", *names, "no label")
    table = [(user_text(name), *map(count, row)) for name, row in zip(names, record["measured"]["confusion"], strict=True)]
    return _section("confusion", "The teacher on the gold rows: true label down, answer across", _table(head, table))


def _noise(record: Mapping[str, Any]) -> Safe | None:
    """The audit's noise matrix."""
    names = record["labels"]
    if len(names) > _SQUARE:
        return None
    table = [(user_text(name), *(percent(p) for p in row)) for name, row in zip(names, record["audit"]["noise"], strict=True)]
    title = "How often the teacher says what, estimated without the gold rows: true label down, answer across"
    return _section("noise", title, _table(("true label", *names), table))


def _labels(record: Mapping[str, Any]) -> Safe:
    told = record["teacher"]
    rows = [(user_text(name), count(rows)) for name, rows in told["labels"].items()]
    why = [el("li", f"{count(rows)} without a label: ", user_text(reason)) for reason, rows in told["why"].items()]
    sure = el("p", f"Mean confidence {significant(told['mean_confidence'])}.")
    return Safe(_table(("label", "texts"), rows) + sure + (el("ul", why) if why else ""))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Safe:
    titles = el("tr", [el("th", user_text(title), scope="col", class_="num" if i else None) for i, title in enumerate(head)])
    body = [el("tr", [el("td", cell, class_="num" if i else None) for i, cell in enumerate(row)]) for row in rows]
    return el("table", el("thead", titles), el("tbody", body), class_="plain")


def _section(key: str, title: str, inner: Safe) -> Safe:
    return el("section", el("h2", title, id=f"{key}-title"), inner, id=key, aria_labelledby=f"{key}-title")
