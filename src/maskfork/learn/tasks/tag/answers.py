"""From units' logits to spans of characters with their scores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from maskfork.learn.tasks.tag.decode import Rules, best_tags, span_scores, spans_of
from maskfork.learn.tasks.tag.prepare import log_softmax
from maskfork.learn.tasks.tag.units import Units
from maskfork.measure.spans import Span

FloatArray = npt.NDArray[np.float64]


class Found(NamedTuple):
    """A span of characters, its label, and how sure of it the model is (0 to 1)."""

    start: int
    end: int
    label: str
    score: float

    @property
    def span(self) -> Span:
        return Span(self.start, self.end, self.label)


def find_spans(logits: Sequence[FloatArray], units: Sequence[Units], rules: Rules) -> list[list[Found]]:
    """The spans of each text from logits [U, C] of its units; a unit that was not read (NaN) is outside.

    Without bound rules (tags of a model whose scheme is not known) a span is read as the CoNLL script reads it, and its score is
    the geometric mean of its tags' probabilities.
    """
    logs = [_known(x, rules) for x in logits]
    tags = best_tags(logs, rules)
    spans = spans_of(tags, rules.names)
    if rules.bound:
        scores = span_scores(logs, spans, rules)
    else:
        best = [np.take_along_axis(x, t[:, None], 1)[:, 0] for x, t in zip(logs, tags, strict=True)]
        scores = [[float(np.exp(b[s.start : s.end].mean())) for s in row] for b, row in zip(best, spans, strict=True)]
    return [
        [Found(int(own.start[s.start]), int(own.end[s.end - 1]), s.label, score) for s, score in zip(row, values, strict=True)]
        for own, row, values in zip(units, spans, scores, strict=True)
    ]


def _known(logits: FloatArray, rules: Rules) -> FloatArray:
    logs = log_softmax(logits)
    outside = np.full(logs.shape[1], -1e9)
    outside[rules.index.get("O", 0)] = 0.0
    return np.where(np.isnan(logits).any(-1, keepdims=True), outside, logs)


def find_labels(logits: Sequence[FloatArray], units: Sequence[Units], words: Sequence[Sequence[tuple[int, int]]],
                names: Sequence[str]) -> list[list[Found]]:  # fmt: skip
    """The label of each word that was read; words of one unit have one label."""
    found: list[list[Found]] = []
    for values, own, places in zip(logits, units, words, strict=True):
        logs = log_softmax(values)
        row = []
        for (start, end), unit in zip(places, own.word.tolist(), strict=True):
            if unit >= 0 and not np.isnan(values[unit]).any():
                best = int(logs[unit].argmax())
                row.append(Found(start, end, names[best], float(np.exp(logs[unit, best]))))
        found.append(row)
    return found
