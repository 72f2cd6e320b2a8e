"""Numbers as people read them. A missing number is a dash, never a zero."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.cells import cell_len

MISSING = "–"
MINUS = "\u2212"
NBSP = "\u00a0"


def number(value: float | None, digits: int = 1) -> str:
    """1234.56 -> "1,234.6", with a true minus sign."""
    if value is None or not math.isfinite(value):
        return MISSING
    text = f"{value:,.{digits}f}"
    if text.startswith("-"):
        text = text[1:] if float(text.replace(",", "")) == 0 else MINUS + text[1:]
    return text


def count(value: float | None) -> str:
    """Whole things."""
    return number(value, 0)


def percent(share: float | None, digits: int = 1) -> str:
    """0.912 -> "91.2 %"."""
    return MISSING if share is None else number(share * 100, digits) + NBSP + "%"


def percent_range(ci: tuple[float, float] | None, digits: int = 1) -> str:
    """(0.9, 0.92) -> "90.0 to 92.0 %"."""
    if ci is None:
        return MISSING
    return f"{number(ci[0] * 100, digits)} to {number(ci[1] * 100, digits)}{NBSP}%"


def points(share: float | None, digits: int = 1) -> str:
    """A difference of two shares in percentage points, always with its sign: 0.012 -> "+1.2"."""
    if share is None:
        return MISSING
    text = number(share * 100, digits)
    return text if text.startswith(MINUS) or float(text.replace(",", "")) == 0 else "+" + text


def points_range(ci: tuple[float, float] | None, digits: int = 1) -> str:
    """(-0.004, 0.029) -> "−0.4 to +2.9"."""
    return MISSING if ci is None else f"{points(ci[0], digits)} to {points(ci[1], digits)}"


def significant(value: float | None) -> str:
    """At most three figures (whole numbers in full), without exponents where a person would write none."""
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if abs(value) < 1e-4:
        return f"{value:.1e}".replace("-", MINUS)
    text = number(value, max(0, min(6, 2 - math.floor(math.log10(abs(value))))))
    return text.rstrip("0").rstrip(".") if "." in text else text


def milliseconds(value: float | None) -> str:
    """0.42 -> "0.42 ms"; 1200 -> "1.20 s"."""
    if value is None:
        return MISSING
    return f"{significant(value / 1000)}{NBSP}s" if value >= 1000 else f"{significant(value)}{NBSP}ms"


def megabytes(value: float | None) -> str:
    """90.9 -> "90.9 MB"; 1434 -> "1.40 GB" (1024 MB)."""
    if value is None:
        return MISSING
    return f"{significant(value / 1024)}{NBSP}GB" if value >= 1024 else f"{significant(value)}{NBSP}MB"


def rate(value: float | None) -> str:
    """Texts a second."""
    return MISSING if value is None else f"{significant(value)}/s"


def duration(seconds: float | None) -> str:
    """75 -> "1:15"; 4000 -> "1:06:40"."""
    if seconds is None or not math.isfinite(seconds):
        return MISSING
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{left:02d}" if hours else f"{minutes}:{left:02d}"


def p_value(p: float | None) -> str:
    """0.0342 -> "0.034"; tiny -> "<0.001"."""
    if p is None:
        return MISSING
    return "<0.001" if p < 0.001 else number(p, 3)


def listing(names: Sequence[str]) -> str:
    """["a", "b", "c"] -> "a, b and c"."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1] if names else ""


def clip(text: str, width: int) -> str:
    """`text` in at most `width` terminal cells, cut with an ellipsis in the middle (names differ at both ends)."""
    text = " ".join(text.split())
    if cell_len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail_room = (width - 1) // 3
    tail = ""
    for char in reversed(text):
        if cell_len(char + tail) > tail_room:
            break
        tail = char + tail
    head = ""
    for char in text:
        if cell_len(head + char) > width - 1 - cell_len(tail):
            break
        head += char
    return head + "…" + tail
