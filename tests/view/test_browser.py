"""The page in a real browser: nothing overflows, nothing complains, keys work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sample
from browser import Browser, find_chromium

from maskfork.view.report import write_html

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed here, so no page can be opened."),
]
REPORTS = {
    "full": sample.full_report,
    "hostile": sample.hostile_report,
    "many": sample.many_labels_report,
    "empty": dict,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.parametrize("width", [360, 720, 805, 1190, 1280])
def test_no_sideways_scrolling_no_complaint_no_request(browser: Browser, tmp_path: Path, name: str, width: int) -> None:
    path = tmp_path / "report.html"
    write_html(REPORTS[name](), path)
    browser.open(path, width, dark=width == 805)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []
    assert browser.value("document.querySelectorAll('img, iframe').length") == 0


def test_texts_of_a_plot_do_not_touch(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    for report in (sample.full_report(), sample.sure_report(), sample.many_labels_report(8)):
        write_html(report, path)
        for width in (360, 1280):
            browser.open(path, width)
            touching = browser.value("""(() => {
              const bad = [];
              for (const plot of document.querySelectorAll("svg.plot")) {
                const texts = [...plot.querySelectorAll("text:not([transform]):not(.in-mark)")]
                  .map(t => [t.textContent, t.getBoundingClientRect()]).filter(([, b]) => b.width > 0);
                const edge = plot.getBoundingClientRect();
                texts.forEach(([a, p], i) => {
                  if (p.left < edge.left - 1 || p.right > edge.right + 1) bad.push("cut: " + a);
                  for (const [b, q] of texts.slice(i + 1))
                    if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3)
                      bad.push(a + " | " + b);
                });
              }
              return bad;
            })()""")
            assert touching == []


def test_sorting_by_keyboard(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_html(sample.full_report(), path)
    browser.open(path, 1280)
    costs = "[...document.querySelectorAll('#contenders-table tbody tr')].map(r => Number(r.cells[10].dataset.value))"
    browser.value("document.querySelectorAll('#contenders-table thead button')[10].focus()")
    browser.press("Enter")
    once = browser.value(costs)
    assert once == sorted(once)
    assert browser.value("document.querySelectorAll('#contenders-table thead th')[10].ariaSort") == "ascending"
    browser.press("Enter")
    assert browser.value(costs) == sorted(once, reverse=True)
    browser.value("document.querySelectorAll('#contenders-table thead button')[8].focus()")  # memory: two are unknown
    browser.press("Enter")
    memory = browser.value("[...document.querySelectorAll('#contenders-table tbody tr')].map(r => r.cells[8].dataset.value)")
    assert memory[-2:] == ["", ""]


def test_arrow_keys_walk_the_marks_and_show_their_words(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_html(sample.full_report(), path)
    browser.open(path, 1280)
    assert browser.value(
        "[...document.querySelectorAll('svg.plot')].every(p => p.querySelectorAll('[tabindex=\"0\"]').length <= 1)"
    )
    browser.value("document.querySelector('#curves svg.only-wide [tabindex=\"0\"]').focus({focusVisible: true})")
    first = browser.value("document.getElementById('tip').textContent")
    browser.press("ArrowRight")
    second = browser.value("document.getElementById('tip').textContent")
    assert "labelled rows" in first
    assert first != second
    assert browser.value("document.getElementById('tip').hidden") is False
    browser.press("Escape")
    assert browser.value("document.getElementById('tip').hidden") is True


def test_legend_brings_one_series_forward(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_html(sample.full_report(), path)
    browser.open(path, 1280)
    browser.value("document.querySelector('#curves .key button').focus()")
    browser.press("Enter")
    assert browser.value("document.querySelectorAll('#curves .only-wide .kept').length") == 1
    assert browser.value("document.querySelector('#curves .key button').getAttribute('aria-pressed')") == "true"
    browser.press("Enter")
    assert browser.value("document.querySelectorAll('#curves .dimmed').length") == 0
