"""Texts that were decoded wrongly, or carry what is no text: mojibake, replacement characters, controls, markup."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

from maskfork.learn.data.audit.finding import Finding, told
from maskfork.learn.data.audit.material import Material, excerpt

BROKEN, MARKUP = "encoding", "markup"
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]")
_ENTITY = re.compile(r"&(?:#\d{2,6}|#x[0-9a-fA-F]{2,6}|amp|lt|gt|quot|nbsp|apos);")
_TAG = re.compile(r"</?(?:p|br|div|span|a|b|i|em|strong|ul|ol|li|table|tr|td|h[1-6]|img|script)\b[^<>]*/?>", re.IGNORECASE)


def broken_texts(material: Material) -> Finding | None:
    """Mojibake (UTF-8 read as another encoding, by ftfy's rules), U+FFFD, and control characters."""
    from ftfy import fix_encoding
    from ftfy.badness import is_bad

    def look(text: str) -> tuple[str, str] | None:
        if "\ufffd" in text:
            return "replacement characters", "lost for good: read the source again in its own encoding"
        if not text.isascii() and is_bad(text) and (fixed := fix_encoding(text)) != text:
            return "mojibake", f"should read: {excerpt(fixed)}"
        if _CONTROL.search(text):
            return "control characters", "control characters"
        return None

    advice = "Read the source again in its own encoding, or repair the texts (the package ftfy does) before training."
    return _finding(material, BROKEN, look, ("is broken", "are broken"), advice)


def markup(material: Material) -> Finding | None:
    """HTML tags and entities in what should be plain text."""

    def look(text: str) -> tuple[str, str] | None:
        found = _TAG.search(text) or _ENTITY.search(text)
        return None if found is None else ("HTML", f"holds {found[0]}")

    advice = "Strip the markup if the texts that come in use have none: it is learnt as words otherwise."
    return _finding(material, MARKUP, look, ("holds markup", "hold markup"), advice)


def _finding(
    material: Material, check: str, look: Callable[[str], tuple[str, str] | None], what: tuple[str, str], advice: str
) -> Finding | None:
    hits, kinds = [], Counter[str]()
    for i in range(len(material)):
        sides = [material.texts[i]] if material.pairs is None else [material.texts[i], material.pairs[i]]
        found = next((seen for seen in map(look, sides) if seen), None)
        if found:
            kinds[found[0]] += 1
            hits.append(material.hit(i, why=found[1]))
    if not hits:
        return None
    kinds_told = ", ".join(f"{kind} in {count:,}" for kind, count in kinds.most_common())
    return Finding(
        check=check,
        level="warning" if check == BROKEN else "note",
        title=f"{told(len(hits), 'text', *what)}: {kinds_told}.",
        advice=advice,
        count=len(hits),
        total=len(material),
        rows=hits,
    )
