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
    rng = np.random.default_rng(seed)
    long = [words for words in (text.split() for text in texts) if len(words) > 2]
    seen, found = set(texts), []
    for row in rng.integers(0, len(long), 4 * count) if long else ():
        words = long[row]
        size = int(rng.integers(2, len(words) + 1))
        start = int(rng.integers(0, len(words) - size + 1))
        kept = [word for word, gone in zip(words[start : start + size], rng.random(size) < LEFT_OUT, strict=True) if not gone]
        phrase = " ".join(kept)
        if len(kept) > 1 and phrase not in seen:
            seen.add(phrase)
            found.append(phrase)
        if len(found) == count:
            break
    return found
