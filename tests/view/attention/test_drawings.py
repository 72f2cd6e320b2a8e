"""The three drawings: what they show is what the data says, and a user's text breaks none of them."""

from __future__ import annotations

import base64
import html
import json
import re
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from maskfork.view.attention import Attention, Map, Tile, Token
from maskfork.view.attention.page import attention_html, write_attention_html
from maskfork.view.attention.png import attention_png
from maskfork.view.attention.terminal import attention_text, links_text, links_title

HOSTILE = ["</script>", "<b>", "映画", "سلام", "\x1b[31m", "\u2028", "$x_1$", "", "👩🏽", "&amp;", "e\u0301", "\ud800"]


def a_map(kind: str = "decoder", words: list[str] | None = None, layers: int = 3, heads: int = 4, seed: int = 0) -> Map:
    words = words or ["the", "old", "bank", "was", "mud", "·dy"]
    n = len(words)
    allowed = np.broadcast_to(np.tri(n, dtype=bool) if kind == "decoder" else np.ones((n, n), dtype=bool), (layers, 1, n, n))
    weights = np.random.default_rng(seed).random((layers, heads, n, n), dtype=np.float32) ** 3 * allowed
    weights /= weights.sum(-1, keepdims=True)
    tokens = tuple(Token(w, i, "special" if i == 0 else "second" if i > n // 2 else "first") for i, w in enumerate(words))
    rollout = weights.mean((0, 1))
    return Map(kind, tokens, tokens, weights, allowed, ("Causal()",) * layers, rollout, allowed[0, 0])  # type: ignore[arg-type]


def seen(*maps: Map, fork: str = "decoder") -> Attention:
    return Attention("tiny", "gpt2", fork, maps or (a_map(),))


def three() -> Attention:
    encoder, decoder = a_map("encoder", heads=2), a_map("decoder", ["<s>", "le", "chat"], layers=2)
    n, m = len(decoder.queries), len(encoder.keys)
    full = np.ones((2, 1, n, m), dtype=bool)
    weights = np.full((2, 4, n, m), 1 / m, dtype=np.float32)
    cross = Map("cross", decoder.queries, encoder.keys, weights, full, ("", ""), weights[0, 0], full[0, 0])
    return seen(encoder, decoder, cross, fork="encoder-decoder")


def block(page: str) -> list[dict[str, Any]]:
    found = re.search(r'<script type="application/json" id="attention">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    maps: list[dict[str, Any]] = json.loads(found[1])["maps"]
    return maps


# --- the page ---


def test_the_page_holds_the_weights_and_the_rules_own_cells() -> None:
    one = a_map()
    (data,) = block(attention_html(seen(one), [Tile(1, 2)]))
    raw = np.frombuffer(base64.b64decode(data["weights"]), dtype="<u2").reshape(one.weights.shape)
    np.testing.assert_allclose(raw / 65535, one.weights, atol=1 / 65535)
    bits = np.unpackbits(np.frombuffer(base64.b64decode(data["masks"][data["allowed"][0][0]]), dtype=np.uint8), count=36)
    assert (bits.reshape(6, 6) == np.tri(6)).all()
    assert len(data["masks"]) == 1  # layers of one rule share it
    assert (data["start"], data["rules"][0], data["layers"], data["heads"]) == ([1, 2], "causal", 3, 4)


def test_the_page_loads_nothing_and_no_token_breaks_it(tmp_path: Path) -> None:
    one = a_map("encoder", HOSTILE)
    path = tmp_path / "page.html"
    write_attention_html(replace(seen(one), model="<i>x</i>", notes=("cut & dry",)), [Tile(None)], path)
    page = path.read_text(encoding="utf-8")
    assert page.count("<script") == 2  # the data and the one that draws
    assert page.count("</script>") == 2
    assert "<i>x" not in page
    assert "cut &amp; dry" in page
    assert "default-src 'none'" in html.unescape(page)
    assert not re.search(r"""(src|href)=|url\(|@import|fetch\(""", page)
    assert [t[0] for t in block(page)[0]["keys"]][:3] == ["</script>", "<b>", "映画"]
    assert [f.name for f in tmp_path.iterdir()] == ["page.html"]


def test_three_kinds_stand_side_by_side_on_the_page() -> None:
    page = attention_html(three(), [Tile(0, 1), Tile(1, 0), Tile(1, 0)])
    assert re.findall(r"<h2[^>]*>(\w+)</h2>", page) == ["Encoder", "Decoder", "Cross"]
    assert 'class="maps several"' in page
    assert [len(m["queries"]) for m in block(page)] == [6, 3, 3]


# --- the picture ---


@pytest.mark.parametrize(("layers", "heads", "n"), [(1, 1, 1), (2, 3, 6), (12, 12, 90), (3, 40, 9)])
def test_png_of_any_size_without_a_warning(layers: int, heads: int, n: int, tmp_path: Path) -> None:
    words = (HOSTILE[:-1] + [f"word{i}" for i in range(n)])[:n]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attention_png(seen(a_map("decoder", words, layers, heads)), [Tile(0, 0)], tmp_path / "a.png", dpi=50)
    data = (tmp_path / "a.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 300 < width < 1200
    assert 200 < height < 1200


@pytest.mark.parametrize("tile", [Tile(0, 1), Tile(0), Tile(None)])
def test_png_of_three_kinds(tile: Tile, tmp_path: Path) -> None:
    attention_png(three(), [tile] * 3, tmp_path / "a.png", dpi=50)
    width, height = struct.unpack(">II", (tmp_path / "a.png").read_bytes()[16:24])
    assert width > height


def test_forbidden_cells_are_hatched_and_allowed_ones_are_not() -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from maskfork.view.attention.png import picture

    figure = Figure(figsize=(2, 1), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    picture(axes, np.array([[0.5, 0.0]], dtype=np.float32), np.array([[True, False]]), fit=True)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].mean(-1)
    assert pixels[10:90, 5:95].std() < 1.0  # plain
    assert pixels[10:90, 105:195].std() > 5.0  # hatched


# --- the terminal ---


def printed(value: Any, width: int = 100) -> str:
    console = Console(width=width, no_color=True, file=None, force_terminal=False)
    with console.capture() as caught:
        console.print(value)
    return caught.get()


def test_a_terminal_map_is_this() -> None:
    one = a_map(words=["a", "b", "c"], layers=1, heads=1)
    one.weights[0, 0] = [[1, 0, 0], [0.25, 0.75, 0], [0.005, 0.1, 0.895]]
    assert printed(attention_text(seen(one), [Tile(0, 0)])).splitlines()[:5] == [
        "decoder: layer 0, head 0 (causal)",
        "  a b c",
        "a █ ╱ ╱",
        "b ▒ ▓ ╱",
        "c · ░ █",
    ]


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_terminal_keeps_its_width_and_hears_no_control_characters(width: int) -> None:
    one = a_map("encoder", HOSTILE + [f"word{i}" for i in range(30)])
    text = printed(attention_text(seen(one), [Tile(0, 0)], width), 400)
    assert not set(text) & {"\x1b", "\ud800"}
    from rich.cells import cell_len

    rows = [line for line in text.splitlines() if "░" in line and "from:" not in line]
    assert len(rows) == len(one.queries)
    assert max(cell_len(line.replace("\u2068", "").replace("\u2069", "")) for line in rows) <= width
    assert ("more to the right" in text) is (width < 100)


def test_three_kinds_side_by_side_where_they_fit() -> None:
    tiles = [Tile(0, 0)] * 3
    wide, narrow = printed(attention_text(three(), tiles, 120), 120), printed(attention_text(three(), tiles, 40), 60)
    assert any("encoder:" in line and "decoder:" in line and "cross:" in line for line in wide.splitlines())
    assert not any("encoder:" in line and "decoder:" in line for line in narrow.splitlines())
    table = printed(links_text(three(), None))
    assert {"encoder", "decoder", "cross"} <= set(table.split())
    assert links_title(seen(), everywhere=True).startswith("Strongest links of all heads")
