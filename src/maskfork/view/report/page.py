"""The page: its parts in order, and the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from maskfork.view.html import Safe, document, el, join
from maskfork.view.reading import read_report
from maskfork.view.report.calibration import calibration_section
from maskfork.view.report.confusion import confusion_section
from maskfork.view.report.contenders import contenders_section
from maskfork.view.report.curves import curves_section
from maskfork.view.report.data import data_section, environment_section
from maskfork.view.report.disagree import disagree_section
from maskfork.view.report.front import front_section
from maskfork.view.report.glossary import glossary_section
from maskfork.view.report.pairs import pairs_section
from maskfork.view.report.recommend import headline, hero
from maskfork.view.report.series import Styles


def render_html(report: Mapping[str, Any]) -> str:
    """The dict of report.json as one page that loads nothing. Parts that are missing are said to be missing."""
    facts = read_report(report)
    styles = Styles(facts)
    sections = [
        ("contenders", "Contenders", contenders_section(facts, styles)),
        ("differences", "Differences", pairs_section(facts)),
        ("curves", "Learning curves", curves_section(facts, styles)),
        ("front", "Accuracy against latency and cost", front_section(facts, styles)),
        ("calibration", "Calibration", calibration_section(facts, styles)),
        ("confusion", "Confusion", confusion_section(facts)),
        ("disagreements", "Where they disagree", disagree_section(facts)),
        ("data", "Data", data_section(facts)),
        ("environment", "Environment, and how to reproduce", environment_section(facts)),
        ("words", "What the words mean", glossary_section()),
    ]
    contents = el("ul", [el("li", el("a", title, href=f"#{key}")) for key, title, _ in sections])
    body = join(
        [
            el(
                "main",
                hero(facts),
                el("nav", contents, aria_label="Contents"),
                [_section(key, title, inner) for key, title, inner in sections],
            ),
            el("div", id="tip", role="presentation", hidden=True),
        ]
    )
    return document(title=f"maskfork: {headline(facts)}", body=body, css=_asset("style.css"), script=_asset("script.js"))


def write_html(report: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Writes `render_html(report)` to `path` at once (a reader never sees half a file). Raises OSError."""
    target = Path(path)
    draft = target.with_name(f".{target.name}.part")
    draft.write_text(render_html(report), encoding="utf-8", newline="\n")
    draft.replace(target)


def _section(key: str, title: str, inner: Safe) -> Safe:
    return el("section", el("h2", title, id=f"{key}-title"), inner, id=key, aria_labelledby=f"{key}-title")


def _asset(name: str) -> str:
    return files("maskfork.view.report").joinpath(name).read_text(encoding="utf-8")
