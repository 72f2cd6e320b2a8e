"""Each text gets the examples that are nearest to it in meaning, the nearest last (Liu et al. 2022, "What makes good in-context
examples for GPT-3?", section 3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskfork.prompt.shots.select import Embed


class Nearest:
    """Chooses `count` of `texts` (with their `pairs`) for each text; call it with the texts that are asked."""

    def __init__(self, texts: Sequence[str], count: int, embed: Embed, pairs: Sequence[str | None] | None = None) -> None:
        self.count, self.embed = min(count, len(texts)), embed
        self._known_MD = embed(joined(texts, pairs))

    def __call__(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[list[int]]:
        """Numbers of the examples of each text, in the order in which they are to stand."""
        if not len(texts) or not self.count:
            return [[] for _ in texts]
        likeness_NM = self.embed(joined(texts, pairs)) @ self._known_MD.T
        ordered: np.ndarray = np.argsort(likeness_NM, axis=1, kind="stable")[:, -self.count :]
        return [[int(i) for i in row] for row in ordered]


def joined(texts: Sequence[str], pairs: Sequence[str | None] | None) -> list[str]:
    """A pair's meaning is that of both its texts."""
    if pairs is None:
        return list(texts)
    return [text if pair is None else f"{text}\n{pair}" for text, pair in zip(texts, pairs, strict=True)]
