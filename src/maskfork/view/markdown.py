"""A user's words in Markdown and YAML, where they may not become markup."""

from __future__ import annotations

import re


def yaml_string(text: str) -> str:
    """`text` as a double-quoted YAML 1.2 scalar; characters that YAML forbids are escaped, lone surrogates replaced."""
    out = []
    for char in text:
        code = ord(char)
        if char in '"\\':
            out.append("\\" + char)
        elif 0xD800 <= code <= 0xDFFF:
            out.append("\ufffd")
        elif code < 0x20 or 0x7F <= code <= 0xA0 or code in (0x2028, 0x2029, 0xFEFF, 0xFFFE, 0xFFFF):
            out.append(f"\\u{code:04X}")
        else:
            out.append(char)
    return '"' + "".join(out) + '"'


def plain(text: str) -> str:
    """A user's words in Markdown: one line, no markup, no HTML."""
    line = " ".join(text.split())
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", line)


def code(text: str) -> str:
    """A name in a code span that no backtick of its own can end."""
    line = " ".join(text.split()).replace("|", "\u2223") or " "
    fence = "`" * (max((len(m) for m in re.findall("`+", line)), default=0) + 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}"
