"""Sentence-order prediction: are two neighbouring runs of text in their order? (ALBERT, Lan et al. 2019, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from maskfork.learn.objectives.pairs import Drawn, Others, Pairs, Places

ORDERED, SWAPPED = 0, 1


@dataclass(frozen=True)
class SentenceOrder(Pairs):
    """Pairs of neighbouring runs, half of them in their order (label 0), half swapped (label 1): ALBERT's numbers.

    A lone sentence at a document's end, to which ALBERT's code gives a random second, is cut in two at a random place: the
    question stays the same for every pair. A lone token is left out.

    Requirements: an encoder with token types and the head pair, or pretrain together with `mlm`; cls and sep tokens.
    Inputs: documents, each one sequence, one is enough; sentences end at . ! ?
    Relations: next-sentence prediction can be answered by topic alone, this cannot.

    Example:
        [CLS] It rained. [SEP] We stayed in. [SEP]   ->   0, in order
        [CLS] We stayed in. [SEP] It rained. [SEP]   ->   1, swapped
    """

    name: ClassVar[str] = "sop"
    labels: ClassVar[tuple[str, str]] = ("in order", "swapped")

    def draw(self, chunk: Sequence[Places], aim: int, others: Others, rng: np.random.Generator) -> Drawn | None:
        whole = np.concatenate(chunk)
        if len(whole) < 2:
            return None
        ends = np.cumsum([len(sentence) for sentence in chunk])[:-1] if len(chunk) > 1 else np.arange(1, len(whole))
        cut = int(rng.choice(ends))
        first, second = whole[:cut], whole[cut:]
        return Drawn(second, first, SWAPPED) if rng.random() < 0.5 else Drawn(first, second, ORDERED)
