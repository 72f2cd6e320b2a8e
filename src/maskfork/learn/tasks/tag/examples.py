"""Labelled texts: words and spans by their characters."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from maskfork.learn.tasks.common.words import Place
from maskfork.measure.spans import Span

Kind = Literal["spans", "words"]


@dataclass(frozen=True)
class Tagged:
    """N texts. `words` are where each text's words stand; `spans` are sorted, apart from each other, start and end in characters.

    `kind` "spans": some stretches have a label (names); "words": every word has one, its own span (parts of speech).
    """

    kind: Kind
    texts: tuple[str, ...]
    words: tuple[tuple[Place, ...], ...]
    spans: tuple[tuple[Span, ...], ...]

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, indices: Iterable[int] | np.ndarray) -> Tagged:
        """These rows, in this order."""
        where = [int(i) for i in indices]
        parts = ([part[i] for i in where] for part in (self.texts, self.words, self.spans))
        texts, words, spans = (tuple(part) for part in parts)
        return Tagged(self.kind, texts, words, spans)  # type: ignore[arg-type]

    def label_names(self) -> tuple[str, ...]:
        """The labels of all spans, by alphabet."""
        return tuple(sorted({span.label for spans in self.spans for span in spans}))


def tag_names(kind: Kind, labels: Iterable[str]) -> tuple[str, ...]:
    """What a model says of a token, in the order of its logits: O, B-LOC, I-LOC ... (IOB2), or the words' labels as they are."""
    return tuple(labels) if kind == "words" else ("O", *(f"{letter}-{label}" for label in labels for letter in "BI"))


def joined(tokens: Iterable[str]) -> tuple[str, tuple[Place, ...]]:
    """Tokens as one text, a blank between two, and where each stands."""
    places: list[Place] = []
    at = 0
    parts = list(tokens)
    for token in parts:
        places.append((at, at + len(token)))
        at += len(token) + 1
    return " ".join(parts), tuple(places)
