"""From start and end logits of windows to the best spans of a context.

The score of a span is the sum of its start's and its end's logit; a question has no answer with the sum of both at the first
token, the least over its windows (Devlin et al. 2018, section 4.3, and the reference's run_qa).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from maskfork.learn.tasks.common.windows import PlacedWindows
from maskfork.learn.tasks.common.words import letters_of, widened

FloatArray = npt.NDArray[np.float32]


class Candidate(NamedTuple):
    """Characters `start` to `end` of the context, and the sum of logits."""

    start: int
    end: int
    logit: float


@dataclass(frozen=True)
class Ranked:
    """One question's spans, best first, and the logit of having no answer. `gap` above 0: no answer is the likelier."""

    spans: list[Candidate]
    null: float

    @property
    def gap(self) -> float:
        return self.null - self.spans[0].logit if self.spans else float("inf")


def rank(cut: PlacedWindows, logits: Sequence[FloatArray], contexts: Sequence[str], max_answer: int, n_best: int) -> list[Ranked]:
    """The `n_best` spans of each context, of at most `max_answer` tokens, from logits [n, 2] of each window's row."""
    found: list[Ranked] = []
    for text, (context, rows) in enumerate(zip(contexts, cut.of_text(), strict=True)):
        best: dict[tuple[int, int], float] = {}
        null = np.inf
        for window in rows:
            values = logits[window].astype(np.float64)
            null = min(null, float(values[0].sum()))
            at, tokens = int(cut.at[window]), cut.tokens[window]
            own = values[at : at + len(tokens)]
            for first, last, score in _spans(own, tokens, max_answer, n_best):
                places = cut.places[text]
                place = _clean(context, int(places[first, 0]), int(places[last, 1]))
                if place is not None and score > best.get(place, -np.inf):
                    best[place] = score
        spans = sorted((Candidate(a, b, score) for (a, b), score in best.items()), key=lambda c: (-c.logit, c.start, c.end))
        found.append(Ranked(spans[:n_best], null))
    return found


def _spans(
    own: npt.NDArray[np.float64], tokens: npt.NDArray[np.int64], max_answer: int, n_best: int
) -> list[tuple[int, int, float]]:
    """(first token, last token, score) of the best spans inside one window; none over a hole in its tokens."""
    count = len(own)
    if not count:
        return []
    width = min(max_answer, count)
    score = np.full((count, width), -np.inf)
    for more in range(width):
        whole = tokens[more:] - tokens[: count - more] == more
        score[: count - more, more] = np.where(whole, own[: count - more, 0] + own[more:, 1], -np.inf)
    flat = score.ravel()
    wanted = min(3 * n_best, flat.size)  # some fall together when blanks are cut off
    chosen = np.argpartition(-flat, wanted - 1)[:wanted]
    return [
        (int(tokens[i // width]), int(tokens[i // width] + i % width), float(flat[i]))
        for i in chosen.tolist()
        if np.isfinite(flat[i])
    ]


def _clean(context: str, start: int, end: int) -> tuple[int, int] | None:
    """Without blanks at the ends, letters whole; None where nothing is left."""
    start, end = widened(context, start, end)
    text = context[start:end]
    seen = [(a, b) for a, b in letters_of(text) if not text[a].isspace()]
    return (start + seen[0][0], start + seen[-1][1]) if seen else None
