"""Masks drawn for people: straight columns, hatched cells, no markup from tokens."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from rich.cells import cell_len

from maskfork.errors import UsageError
from maskfork.view.maskdraw import mask_html, mask_png, mask_text

CAUSAL = np.tril(np.ones((4, 4), dtype=bool))


def test_text_of_a_causal_mask_is_this() -> None:
    assert mask_text(CAUSAL[:3, :3], ["The", "cat", " sat"]).split("\n") == [
        "     The cat ␣sat",
        " The ✓   ✗   ✗",
        " cat ✓   ✓   ✗",
        "␣sat ✓   ✓   ✓",
    ]


@pytest.mark.parametrize("width", [12, 200])
def test_columns_are_straight_with_wide_letters(width: int) -> None:
    tokens = ["映画", "e\u0301t\u0301", "سلام", "👩🏽", "\n", ""]
    allowed = np.eye(6, dtype=bool)
    lines = mask_text(allowed, tokens, width=width).split("\n")[-6:]
    places = []
    for row, line in enumerate(lines):
        cells = [cell_len(line[:i]) for i, char in enumerate(line) if char in "✓✗"]
        assert len(cells) == 6
        assert [c for c in line if c in "✓✗"][row] == "✓"
        places.append(cells)
    assert all(p == places[0] for p in places)


def test_keys_may_be_other_tokens_and_sizes_must_agree() -> None:
    text = mask_text(np.array([[True, False, True]]), ["q"], ["a", "b", "c"])
    assert text == "  a b c\nq ✓ ✗ ✓"
    with pytest.raises(UsageError, match=r"shape \[4, 4\].*3 query"):
        mask_text(CAUSAL, ["a", "b", "c"])
    with pytest.raises(UsageError):
        mask_text(np.ones((1, 1, 1), dtype=bool), ["a"])


def test_control_characters_never_reach_the_terminal() -> None:
    text = mask_text(CAUSAL[:2, :2], ["\x1b[31m", "\x9b\u202e\ud800"])
    assert not set(text) & {"\x1b", "\x9b", "\u202e", "\ud800"}
    text.encode("utf-8")


@pytest.mark.parametrize("n", [1, 8, 40, 130])
def test_png_is_written_without_a_warning(tmp_path: Path, n: int) -> None:
    tokens = (["$x_1$", "映画", "<b>", "سلام", "_"] + [f"token{i}" for i in range(n)])[:n]
    path = tmp_path / "mask.png"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mask_png(np.tril(np.ones((n, n), dtype=bool)), tokens, path, title="Causal $5 映", dpi=60)
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 200 < width < 2400
    assert 80 < height < 2400


def test_png_tells_open_cells_from_forbidden_ones_without_colour(tmp_path: Path) -> None:
    from matplotlib.image import imread

    path = tmp_path / "mask.png"
    mask_png(np.array([[True, False]]), ["q"], path, key_tokens=["a", "b"], dpi=100)
    pixels = np.asarray(imread(str(path)))[..., :3]
    blue = pixels[..., 2] - pixels[..., 0] > 0.3
    top = int(np.argwhere(blue.any(1))[0, 0])  # the open cell is above the legend
    left, right = np.flatnonzero(blue[top + 10])[[0, -1]]
    assert pixels[top + 5 : top + 28, left + 4 : right - 4].std(axis=(0, 1)).max() < 0.01  # plain
    beside = pixels[top + 5 : top + 28, right + 5 : right + 28].mean(-1)
    assert beside.std() > 0.01  # hatched
    assert beside.min() > 0.6


def test_html_says_it_in_words_and_escapes_tokens() -> None:
    page = mask_html(CAUSAL[:2, :2], ["<script>alert(1)</script>", "b"], title="<i>")
    assert "<script" not in page
    assert page.count('class="yes"') == 3
    assert page.count('class="no"') == 1
    assert "3 of 4 cells are open." in page
    assert "default-src &#x27;none&#x27;" in page
