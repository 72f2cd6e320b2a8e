"""The attention page in a real browser: it fits, it complains of nothing, and keys and taps do what the page says."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
from browser import Browser, find_chromium

from maskfork.view.attention import Tile
from maskfork.view.attention.page import write_attention_html
from tests.view.attention.test_drawings import HOSTILE, a_map, seen, three

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed here, so no page can be opened."),
]
CHOSEN = (
    "[...document.querySelectorAll('.map')].map(m => m.querySelector('.tile[aria-selected=true]').getAttribute('aria-label'))"
)
ONE = "document.querySelector('.chips.query [aria-checked=true]').textContent"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "one": (seen(), [Tile(1, 2)]),
        "long": (seen(a_map("decoder", [f"word{i}" for i in range(90)], 4, 16)), [Tile(0, 0)]),
        "hostile": (seen(a_map("encoder", HOSTILE)), [Tile(0, 0)]),
        "three": (three(), [Tile(0, 1), Tile(1, 0), Tile(1, 0)]),
    }
    for name, (data, tiles) in made.items():
        write_attention_html(data, tiles, folder / f"{name}.html")
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("name", ["one", "long", "hostile", "three"])
@pytest.mark.parametrize("width", [360, 390, 768, 1000, 1280])
def test_no_sideways_scrolling_no_complaint_no_request(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    browser.open(pages[name], width, dark=width == 768)
    browser.value("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.complaints() == []


def test_arrow_keys_walk_layers_and_heads(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"], 1280)
    assert browser.value(CHOSEN) == ["layer 1, head 2"]
    browser.press("Tab")
    assert browser.value("document.activeElement.getAttribute('aria-label')") == "layer 1, head 2"
    walked = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowUp", "Home", "ArrowUp", "ArrowDown", "ArrowDown", "ArrowDown"):
        browser.press(key)
        walked += browser.value(CHOSEN)
    assert walked == [
        "layer 1, head 3", "layer 1, mean over heads", "layer 1, mean over heads", "layer 0, mean over heads",
        "layer 0, head 0", "layer 0, head 0", "layer 1, head 0", "layer 2, head 0", "rollout over all layers",
    ]  # fmt: skip
    assert browser.value("document.querySelector('.title').textContent") == "rollout over all layers"
    browser.press("ArrowUp")
    assert browser.value(CHOSEN) == ["layer 2, head 0"]
    assert browser.value("document.querySelectorAll('.overview [tabindex=\"0\"]').length") == 1


def test_every_kind_follows_one_choice(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["three"], 1280)
    assert browser.value(CHOSEN) == ["layer 0, head 1", "layer 1, head 0", "layer 1, head 0"]
    browser.value("document.querySelector('.map .tile[aria-label=\"layer 2, head 1\"]').click()")
    assert browser.value(CHOSEN) == ["layer 2, head 1", "layer 1, head 1", "layer 1, head 1"]  # two layers: their last


def test_a_token_shows_its_row(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"], 390)
    browser.value("document.querySelectorAll('.chips.query .chip')[1].click()")
    said = browser.value("document.querySelector('.said').textContent")
    assert said.startswith("old reads ")
    assert "the rule forbids 4 of 6" in said
    assert (
        browser.value("[...document.querySelectorAll('.chip')].map(c => c.classList.contains('no'))") == [False] * 2 + [True] * 4
    )
    browser.value("document.querySelector('.chips.query [aria-checked=true]').focus()")
    browser.press("ArrowRight")
    assert browser.value(ONE) == "bank"
    browser.press("End")
    assert browser.value(ONE) == "·dy"
    assert browser.value("document.activeElement.textContent") == "·dy"
    assert "forbids" not in browser.value("document.querySelector('.said').textContent")


def test_the_table_says_what_the_picture_shows(browser: Browser, pages: dict[str, Path]) -> None:
    one = a_map()
    browser.open(pages["one"], 1280)
    browser.value("document.querySelector('.as-table').open = true")
    browser.value("new Promise(r => setTimeout(r, 100))")
    cells = browser.value("[...document.querySelectorAll('tbody tr')].map(r => [...r.cells].map(c => c.textContent))")
    assert cells[1][0] == "old"
    assert cells[1][3:] == ["forbidden"] * 4
    shares = [float(c.removesuffix("\u00a0%")) for c in cells[1][1:3]]
    assert shares == pytest.approx([100 * w for w in one.weights[1, 2, 1, :2]], abs=0.51)


def test_hovering_and_dark_ground(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["one"], 1280)
    box = browser.value(
        "(b => [b.left, b.top, b.width, b.height])(document.querySelector('.plot canvas').getBoundingClientRect())"
    )
    at = {"x": box[0] + box[2] * 0.95, "y": box[1] + box[3] * 0.3, "type": "mouseMoved"}
    browser.call("Input.dispatchMouseEvent", **at)
    assert browser.value("document.getElementById('tip').textContent") == "old → ·dy: forbidden by the rule"
    light = browser.value("document.querySelector('.plot canvas').toDataURL()")
    browser.open(pages["one"], 1280, dark=True)
    assert browser.value("document.querySelector('.plot canvas').toDataURL()") != light


def test_controls_are_large_enough_to_tap_and_have_names(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["three"], 390)
    small = """[...document.querySelectorAll('button')].map(b => b.getBoundingClientRect())
      .filter(b => b.width > 0 && (b.width < 22 || b.height < 22)).length"""
    assert browser.value(small) == 0
    unnamed = (
        "[...document.querySelectorAll('button')].filter(b => !(b.textContent.trim() || b.getAttribute('aria-label'))).length"
    )
    assert browser.value(unnamed) == 0
