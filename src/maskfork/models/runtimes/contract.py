"""What a runtime is: token ids in, one array a text out.

Legend: N texts, T tokens of a text, C numbers of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from maskfork.models.runtimes.settings import RuntimeSettings

FloatArray = npt.NDArray[np.float32]
Ids = Sequence[Sequence[int]]


@dataclass
class Padding:
    """Tokens that were read since the runtime was opened, and those that only filled up a batch."""

    tokens: int = 0
    filling: int = 0

    @property
    def share(self) -> float:
        """Of all that was computed, in [0, 1)."""
        return self.filling / max(1, self.tokens + self.filling)


class Runtime(Protocol):
    """An encoder with its head, or with its pooling and what follows it. Called from one thread at a time."""

    settings: RuntimeSettings
    padding: Padding

    def run(self, ids: Ids, types: Ids | None = None) -> list[FloatArray]:
        """float32, one a text in the order given: [C] (a classifier's or a cross-encoder's logits, a sentence encoder's vector),
        or [T, C] where `settings.gives` is "token" (a tagger; a span reader has C = 2).

        `ids` are whole sequences, special tokens included; `types` theirs, where the model tells two texts apart. The runtime
        plans its own batches. Raises ModelError.
        """
        ...

    def close(self) -> None:
        """Let go of memory and threads; it is not asked again."""
        ...
