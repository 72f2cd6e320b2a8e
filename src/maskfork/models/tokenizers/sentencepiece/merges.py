"""Merges from a ranked vocabulary: SentencePiece's BPE scores and tiktoken's ranks say which piece comes first, not of what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merges_of(ranked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Every way to join two pieces into a third, the best-ranked piece first (lowest value).

    Both originals join any two neighbours that make a known piece, so each way is a merge of its own. Ways to the same
    piece that could compete overlap (aa|a and a|aa in "aaa"); the leftmost wins there, which is the longer left part.
    """
    found: list[tuple[Any, int, str, str]] = []
    for piece, rank in ranked.items():
        for at in range(1, len(piece)):
            left, right = piece[:at], piece[at:]
            if left in ranked and right in ranked:
                found.append((rank, -at, left, right))
    found.sort()
    return [(left, right) for _, _, left, right in found]
