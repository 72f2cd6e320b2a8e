"""More texts for a student than there are: parts of the user's own, for a teacher to answer.

A student learns what its teacher says of a text, whatever the text: parts of texts show it what single words and phrases do
(Tang et al. 2019, "Distilling task-specific knowledge from BERT into simple neural networks", section 3.3).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: the share of words that are left out of a phrase
LEFT_OUT = 0.1


def phrases(texts: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """At most `count` further texts: runs of two words or more of a text, some words left out; none twice, none of `texts`."""
    return [part for part, _ in paired_phrases(texts, [""] * len(texts), count, seed)]


def paired_phrases(texts: Sequence[str], pairs: Sequence[str], count: int, seed: int = 0) -> list[tuple[str, str]]:
    """The same of pairs: of the one text or the other a part, beside the whole other one. Empty texts have no parts."""
    rng = np.random.default_rng(seed)
    rows = list(zip(texts, pairs, strict=True))
    long = [(row, side) for row in rows for side in (0, 1) if len(row[side].split()) > 2]
    seen, found = set(rows), []
    for number in rng.integers(0, len(long), 4 * count) if long else ():
        row, side = long[number]
        kept = _part(row[side].split(), rng)
        made = (" ".join(kept), row[1]) if side == 0 else (row[0], " ".join(kept))
        if len(kept) > 1 and made not in seen:
            seen.add(made)
            found.append(made)
        if len(found) == count:
            break
    return found


def _part(words: Sequence[str], rng: np.random.Generator) -> list[str]:
    size = int(rng.integers(2, len(words) + 1))
    start = int(rng.integers(0, len(words) - size + 1))
    return [word for word, gone in zip(words[start : start + size], rng.random(size) < LEFT_OUT, strict=True) if not gone]
