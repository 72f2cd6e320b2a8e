"""Letters of any language in straight columns: on one line, in a terminal's cells, in the fonts at hand."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len


def shown(token: str) -> str:
    """A token on one line: blanks and control characters get their pictures, an empty one a sign of its own."""
    out = []
    for char in token:
        code = ord(char)
        if char == " ":
            out.append("␣")
        elif code < 0x20:
            out.append(chr(0x2400 + code))
        elif code == 0x7F:
            out.append("␡")
        elif unicodedata.category(char) in ("Cc", "Cf", "Cn", "Cs", "Zl", "Zp") and char != "\u200d":
            out.append("\ufffd")
        else:
            out.append(char)
    return "".join(out) or "∅"


def letters(token: str) -> list[str]:
    """Letters with their accents: what must stay in one cell when a token is written downwards."""
    found: list[str] = []
    for char in token:
        if found and (unicodedata.combining(char) or cell_len(char) == 0 or found[-1].endswith("\u200d")):
            found[-1] += char
        else:
            found.append(char)
    return found


def upright(names: Sequence[str], least: int = 1) -> tuple[list[int], list[str]]:
    """Names written downwards side by side, a blank before each: the columns' widths (at least `least`), and the lines.

    All end on the last line, where the columns begin.
    """
    columns = [letters(name) for name in names]
    widths = [max([least, *(cell_len(c) for c in column)]) for column in columns]
    deep = max((len(column) for column in columns), default=0)
    lines = []
    for level in range(deep):
        places = [(column, level - (deep - len(column)), w) for column, w in zip(columns, widths, strict=True)]
        lines.append("".join(" " + pad(column[at] if at >= 0 else "", w) for column, at, w in places))
    return widths, lines


def pad(text: str, width: int, right: bool = False) -> str:
    gap = " " * max(0, width - cell_len(text))
    if any(unicodedata.bidirectional(c) in ("R", "AL") for c in text):
        text = f"\u2068{text}\u2069"  # a right-to-left token must not turn the row around
    return gap + text if right else text + gap


def find_fonts(text: str) -> tuple[list[str], set[str]]:
    """Families at hand for `text` (matplotlib goes along the list letter by letter), and the letters that none has."""
    from matplotlib import font_manager

    wanted = ("DejaVu Sans", "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Arabic", "Liberation Sans")
    more = ("Noto Sans Devanagari", "Arial Unicode MS", "Microsoft YaHei", "WenQuanYi Micro Hei", "Segoe UI", "Symbola")
    paths = {font.name: font.fname for font in font_manager.fontManager.ttflist if font.style == "normal"}
    names = [name for name in (*wanted, *more) if name in paths]
    faces = [font_manager.get_font(paths[name]) for name in names]
    lacking = {c for c in set(text) if not any(face.get_char_index(ord(c)) for face in faces)}
    return names, lacking
