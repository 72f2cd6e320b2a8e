"""Batches by a budget of tokens, longest texts first, on one or several streams: what all runtimes share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from maskfork.models.cores import usable_cores
from maskfork.models.packing import by_tokens
from maskfork.models.runtimes.contract import FloatArray, Ids, Padding
from maskfork.models.runtimes.settings import RuntimeSettings

ROWS = 256  # the most of a batch


class Batched(ABC):
    """`pads`: whether a batch is a rectangle, so that shorter texts are filled up. A stream is a thread of its own."""

    pads = True

    def __init__(self, settings: RuntimeSettings) -> None:
        self.settings, self.padding = settings, Padding()
        self.threads = settings.threads or usable_cores()  # of all streams together
        self._streams = ThreadPoolExecutor(settings.streams, "maskfork-stream") if settings.streams > 1 else None

    @abstractmethod
    def batch(self, ids: Ids, types: Ids | None) -> list[FloatArray]:
        """The answers of one batch, longest text first. Several threads may ask at once where there are several streams."""

    def run(self, ids: Ids, types: Ids | None = None) -> list[FloatArray]:
        lengths = [len(one) for one in ids]
        parts = [part.tolist() for part in by_tokens(lengths, self.settings.batch_tokens, ROWS, filled=self.pads)]
        for part in parts:
            longest, real = lengths[part[0]], sum(lengths[i] for i in part)
            self.padding.tokens += real
            self.padding.filling += longest * len(part) - real if self.pads else 0

        def one(part: list[int]) -> list[FloatArray]:
            return self.batch([ids[i] for i in part], None if types is None else [types[i] for i in part])

        done = map(one, parts) if self._streams is None or len(parts) == 1 else self._streams.map(one, parts)
        found: list[FloatArray] = [np.empty(0, np.float32)] * len(lengths)
        for part, answers in zip(parts, done, strict=True):
            for i, answer in zip(part, answers, strict=True):
                found[i] = answer
        return found

    def close(self) -> None:
        if self._streams is not None:
            self._streams.shutdown()


def inputs_of(names: Sequence[str], ids: Ids, types: Ids | None) -> dict[str, np.ndarray]:
    """A rectangle [N, S] int64 for each input of a graph, filled up on the right with zeros; the longest text comes first."""
    tokens, mask, kinds = (np.zeros((len(ids), len(ids[0])), dtype=np.int64) for _ in range(3))
    for row, one in enumerate(ids):
        tokens[row, : len(one)] = one
        mask[row, : len(one)] = 1
        if types is not None:
            kinds[row, : len(one)] = types[row]
    made = {"input_ids": tokens, "attention_mask": mask, "token_type_ids": kinds}
    return {name: made[name] for name in names}
