"""The table of docs/parity.md: what is written there is a measurement, and within its bounds."""

from __future__ import annotations

import pytest

from tests.models.parity import BOUND, HEADER, PAGE, RULE, Row, page, rows_of
from tests.models.theirs import FAMILIES, configs


def test_rows_are_within_their_bounds() -> None:
    text = PAGE.read_text("utf-8")
    assert f"{HEADER}\n{RULE}\n" in text
    for name, row in rows_of(text).items():
        assert name in FAMILIES
        assert 3 <= row.configs <= len(configs(name))
        assert row.heads > 0
        assert max(row.logits, row.gradients, row.cached or 0.0) < BOUND
        assert 0 < row.bf16 < 2
        assert row.bf16 < 4 * row.bf16_of_theirs


def test_a_row_there_and_back() -> None:
    rows = {"b": Row("b", 3, 2, 1.5e-6, 2e-6, None, 0.01, 0.02), "a": Row("a", 4, 1, 1e-6, 1e-7, 3e-6, 0.5, 0.25)}
    text = page(f"# Title\n\n{HEADER}\n{RULE}\n\nMeasured with nothing yet.\n\nMore.\n", rows)
    assert rows_of(text) == rows
    assert text.index("| a |") < text.index("| b |")
    assert text.endswith("CPU.\n\nMore.\n")
    assert page(text, rows) == text
    with pytest.raises(ValueError, match="not a row"):
        Row.parse("| a | 3 | 2 | – | 1e-6 | – | 0.1 | 0.1 |")
