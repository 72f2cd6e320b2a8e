"""The page's structure: what is on it, what can never be on it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import sample

from maskfork.view.html import Safe, el, escape
from maskfork.view.reading import Pair, read_report
from maskfork.view.report import render_html, write_html
from maskfork.view.report.axes import log_ticks, nice_ticks

SECTIONS = (
    "contenders", "differences", "curves", "front", "calibration", "confusion", "disagreements", "data", "environment",
    "words",
)  # fmt: skip
REPORTS: dict[str, Callable[[], dict[str, Any]]] = {
    "full": sample.full_report,
    "sure": sample.sure_report,
    "hostile": sample.hostile_report,
    "many": sample.many_labels_report,
    "empty": dict,
    "nulls": lambda: dict.fromkeys(sample.full_report()),
}
VOID = {"br", "col", "hr", "input", "link", "meta", "wbr"}


class Page(HTMLParser):
    """Every element with its attributes, in order; complains where tags do not nest."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        assert len(attrs) == len(dict(attrs)), (tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style", "title"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {name: render_html(make()) for name, make in REPORTS.items()}


@pytest.mark.parametrize("name", REPORTS)
def test_every_page_nests_has_its_sections_and_loads_nothing(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) <= set(ids)
    for tag, attributes in page.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form", "image", "use", "foreignobject")
        assert not {"src", "srcset", "xlink:href", "action", "formaction", "style"} & set(attributes)
        assert not [a for a in attributes if a.startswith("on")]
        if "href" in attributes:
            assert str(attributes["href"]).removeprefix("#") in ids
    assert [t for t, _ in page.elements].count("script") == 1
    assert not re.search(r"url\(|@import|https?://", re.sub(r"<main.*</main>", "", pages[name], flags=re.S))


@pytest.mark.parametrize("name", REPORTS)
def test_the_policy_pins_the_only_style_and_script(pages: dict[str, str], name: str) -> None:
    import base64
    import hashlib

    policy = next(a["content"] for t, a in Page(pages[name]).elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        inner = re.search(rf"<{tag}>(.*?)</{tag}>", pages[name], re.S)
        assert inner is not None
        digest = base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_hostile_words_are_shown_and_never_run(pages: dict[str, str]) -> None:
    page = Page(pages["hostile"])
    assert "<script>alert(1)</script>" in page.text  # as words
    assert pages["hostile"].count("<script>") == 1  # our own
    assert "<img" not in pages["hostile"]
    assert not re.search("[\x00\x1b\ud800]", pages["hostile"])
    pages["hostile"].encode("utf-8")


def test_builder_refuses_what_the_policy_forbids() -> None:
    for bad in ({"onclick": "x"}, {"style": "x"}, {"a b": "x"}):
        with pytest.raises(ValueError, match="not allowed"):
            el("p", **bad)
    assert el("p", "<b>", [None, False, 0, Safe("<i>x</i>")], title='"') == '<p title="&quot;">&lt;b&gt;0<i>x</i></p>'
    assert escape("a\x00b") == "a\ufffdb"


def test_first_line_is_the_recommendation_with_the_paired_difference(pages: dict[str, str]) -> None:
    report = sample.full_report()
    text = Page(pages["full"]).text.strip()
    assert text.startswith(report["recommendation"]["first_line"])
    assert "Label about 3,100 more held-out rows" in text
    # Where the report brings no sentence of its own, the page says best minus second, with the sign turned if need be.
    sure = Page(pages["sure"]).text.strip()
    assert sure.startswith("Use fine-tuned all-MiniLM-L6-v2 @ 6400: it is the most accurate.")
    assert "+11.8 points (95\u00a0% interval +9.7 to +14.0)".replace("\u00a0", " ") in sure
    assert sure.index("+11.8 points") < 400


def test_better_is_written_only_where_the_interval_excludes_zero() -> None:
    report = sample.full_report()
    for pair in report["pairs"]:
        pair.update(ci=[-0.01, 0.02], better=pair["a"])  # a report that claims too much
    page = render_html(report)
    forest = page[page.index('id="differences"') : page.index('id="curves"')]
    assert "<strong>" not in forest
    assert forest.count('class="verdict">cannot tell') == len(report["pairs"])
    assert "is better than" not in page
    turned = Pair("a", "b", 0.1, (0.05, 0.2), None, None, "a").turned()
    assert (turned.a, turned.difference, turned.ci, turned.separated) == ("b", -0.1, (-0.2, -0.05), True)


def test_broken_constraints_and_absent_contenders_are_told_in_words(pages: dict[str, str]) -> None:
    text = Page(pages["full"]).text
    assert "p99 latency 143 ms is over your 50 ms." in text
    assert "12 of 16 contenders keep them" in text
    assert "the folder ./bert-large has no tokenizer.json" in text
    row = re.search(r'<tr class="breaks">.*?</tr>', pages["full"], re.S)
    assert row is not None
    assert "✗" in row[0]
    assert "✓ kept" not in row[0]


def test_missing_values_are_dashes_and_sort_last(pages: dict[str, str]) -> None:
    report = sample.full_report()
    report["contenders"] = [{"name": "bare", "accuracy": float("nan")}, report["contenders"][0]]
    page = render_html(report)
    assert "nan" not in Page(page).text
    assert page.index("fine-tuned all-MiniLM-L6-v2 @ 8") < page.index("bare")  # unmeasured accuracy ranks last
    assert 'data-value=""' in page
    assert "None" not in Page(pages["nulls"]).text


def test_150_labels_draw_only_the_cells_that_hold_rows(pages: dict[str, str]) -> None:
    report = sample.many_labels_report()
    filled = sum(v > 0 for row in report["figures"]["confusion"]["matrix"] for v in row)
    assert pages["many"].count('class="cell ') == 2 * filled  # wide and narrow drawing
    assert len(pages["many"]) < 800_000


def test_long_texts_fold_and_rtl_texts_are_isolated(pages: dict[str, str]) -> None:
    assert "… all 2,000 characters" in pages["full"]
    assert '<blockquote dir="auto">فيلم' in pages["full"]


def test_a_crossover_with_an_open_end_and_one_that_is_absent() -> None:
    report = sample.full_report()
    report["crossover"]["ci"] = [None, None]
    text = Page(render_html(report)).text
    assert "below the smallest budget to beyond the largest budget" in text
    report["crossover"], report["crossover_note"] = None, ""
    assert "No crossover of a fine-tuned encoder" in Page(render_html(report)).text


def test_json_round_trip_gives_the_same_page_and_the_file_is_whole(tmp_path: Path) -> None:
    report = sample.full_report()
    before = copy.deepcopy(report)
    target = tmp_path / "report.html"
    write_html(report, target)
    assert report == before
    assert target.read_text(encoding="utf-8") == render_html(json.loads(json.dumps(report)))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_points_on_the_front_are_those_that_nothing_beats() -> None:
    from maskfork.view.report.front import _front

    contenders = read_report(sample.full_report()).contenders
    points = [(c.p99, c) for c in contenders if c.p99 is not None]
    kept = {c.name for _, c in _front(points)}
    assert 0 < len(kept) < len(points)
    for cost, c in points:
        beaten = any(
            (k <= cost and (o.accuracy or 0) > (c.accuracy or 0)) or (k < cost and o.accuracy == c.accuracy) for k, o in points
        )
        assert (c.name in kept) == (not beaten)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (48.2, 91.0), (-3.0, 0.4), (0.5, 0.5001)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low - 1e-9 <= t <= high + 1e-9 for t in ticks)
    assert log_ticks(0.8, 1200)[0] == pytest.approx(1)
