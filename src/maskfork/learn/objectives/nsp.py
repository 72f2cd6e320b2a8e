"""Next-sentence prediction: does the second run of text follow the first? (BERT, Devlin et al. 2018, section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from maskfork.learn.objectives.pairs import Drawn, Others, Pairs, Places

FOLLOWS, RANDOM = 0, 1


@dataclass(frozen=True)
class NextSentence(Pairs):
    """Half of the pairs go on in their document (label 0), half with a random run of another one (label 1).

    The construction is BERT's own: sentences are gathered until a pair's length is reached and cut in two between sentences;
    where the second half is replaced, the sentences that it would have been begin the next pair. A lone sentence at a
    document's end always gets a random second, so that a little more than half of all pairs are random.

    Requirements: an encoder with token types and the head pair, or pretrain together with `mlm`; cls and sep tokens.
    Inputs: two documents or more a batch; sentences end at . ! ? Each sequence is a document, or a piece of the one that the
        batch's `documents` name: a random second never comes from the same.
    Relations: sentence order asks a harder question of the same pairs; RoBERTa and its full sentences ask none.

    Example:
        [CLS] It rained all day. [SEP] We stayed in. [SEP]       ->   0, follows
        [CLS] It rained all day. [SEP] Shares fell again. [SEP]  ->   1, random
    """

    name: ClassVar[str] = "nsp"
    labels: ClassVar[tuple[str, str]] = ("follows", "random")

    def draw(self, chunk: Sequence[Places], aim: int, others: Others, rng: np.random.Generator) -> Drawn | None:
        cut = int(rng.integers(1, len(chunk))) if len(chunk) > 1 else 1
        first = np.concatenate(chunk[:cut])
        if len(chunk) == 1 or rng.random() < 0.5:
            return Drawn(first, others.run(max(1, aim - len(first)), rng), RANDOM, unused=len(chunk) - cut)
        return Drawn(first, np.concatenate(chunk[cut:]), FOLLOWS)
