"""Rows without a text, with next to none, or without a label."""

from __future__ import annotations

import re

from maskfork.learn.data.audit.finding import Finding, Hit, Level, told
from maskfork.learn.data.audit.material import Material

EMPTY, NEAR_EMPTY, UNLABELLED = "empty texts", "near-empty texts", "missing labels"
_NOTHING = {"nan", "none", "null", "n/a", "na", "#n/a", "nil", "undefined", "-", "--", ".", "?", "[deleted]", "[removed]"}
_LETTER = re.compile(r"[^\W\d_]")


def empty_texts(material: Material) -> Finding | None:
    """Rows with no text on any side."""
    hits = [material.hit(i) for i, text in enumerate(_whole(material)) if not text.strip()]
    return _finding(EMPTY, "problem", hits, len(material), "no text", "Fill or drop them: they are left out of every training.")


def near_empty_texts(material: Material) -> Finding | None:
    """Rows whose text stands for nothing ("NaN", "[deleted]"), or holds no letter and no figure, or is one letter."""
    hits: list[Hit] = []
    for i, text in enumerate(_whole(material)):
        bare = text.strip()
        if not bare:
            continue
        word = bare.casefold()
        why = "a placeholder" if word in _NOTHING else None
        if why is None and not any(sign.isalnum() for sign in bare):
            # one emoji or sign may well be the whole of a message
            why = "no letter or figure" if all(ord(sign) < 0x2000 for sign in bare) else None
        elif why is None and len(bare) == 1 and bare.isascii():
            why = "one sign"
        if why:
            hits.append(material.hit(i, why=why))
    return _finding(NEAR_EMPTY, "warning", hits, len(material), "next to no text", "Drop them unless they really come in use.")


def missing_labels(material: Material) -> Finding | None:
    """Rows with a text and no label."""
    labels = material.labels or ()
    texts = _whole(material)
    hits = [material.hit(i) for i, label in enumerate(labels) if label is None and texts[i].strip()]
    advice = "Label them, or leave them out knowingly: nothing is learnt from them."
    return _finding(UNLABELLED, "warning", hits, len(material), "no label", advice)


def _whole(material: Material) -> list[str]:
    if material.pairs is None:
        return list(material.texts)
    return [f"{one} {two}" for one, two in zip(material.texts, material.pairs, strict=True)]


def _finding(check: str, level: Level, hits: list[Hit], total: int, what: str, advice: str) -> Finding | None:
    if not hits:
        return None
    title = f"{told(len(hits), 'row', 'has', 'have')} {what}."
    return Finding(check=check, level=level, title=title, advice=advice, count=len(hits), total=total, rows=hits)
