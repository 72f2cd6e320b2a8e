"""Trees of tokens read by the native pass. A page is one token, and each token has a row of its own: those before it.

    shared prefix (stored once)    tree of one pass          rows
    0 1 2 ... P-1              ──┬─ P ── P+1 ──┬─ P+2        0 ... P-1  P  P+1  P+2
                                 │             └─ P+3        0 ... P-1  P  P+1  P+3
                                 └─ P+4                      0 ... P-1  P+4

Legend: P tokens of the prefix, T of the tree, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from maskfork.models.native import NativeDecoder


class NativeTrees:
    """Keeps the beginning that it read last."""

    def __init__(self, decoder: NativeDecoder) -> None:
        self._decoder, self._prefix, self._stored = decoder, list[int](), decoder.storage(0, 1)

    def read(self, prefix: list[int], tokens: Sequence[int], parents: Sequence[int], places: Sequence[int]) -> Tensor:
        """Scores [len(places), V] after the tokens at these places, which rise; parent -1 for what follows the prefix."""
        self._begin(prefix, len(prefix) + len(tokens))
        start, depth = len(prefix), list[int]()
        for parent in parents:
            depth.append(0 if parent < 0 else depth[parent] + 1)
        table = np.zeros((len(tokens), start + max(depth) + 1), dtype=np.int64)
        table[:, :start] = np.arange(start)
        for i, parent in enumerate(parents):
            if parent >= 0:
                table[i, start : start + depth[i]] = table[parent, start : start + depth[i]]
            table[i, start + depth[i]] = start + i
        return self._read(tokens, torch.arange(len(tokens)), torch.tensor(depth) + start, torch.tensor(places), table)

    def _begin(self, prefix: list[int], room: int) -> None:
        """Room for so many tokens, of which the prefix has been read."""
        if room > self._stored.shape[2]:
            self._prefix, self._stored = [], self._decoder.storage(2 * room, 1)
        if prefix != self._prefix:
            slots = torch.arange(len(prefix))
            self._read(prefix, torch.zeros_like(slots), slots, slots[:0], slots[None].numpy())
            self._prefix = list(prefix)

    def _read(self, tokens: Sequence[int], row: Tensor, slot: Tensor, want: Tensor, table: np.ndarray) -> Tensor:
        return self._decoder.decode(torch.tensor(tokens), row, slot, want, self._stored, torch.from_numpy(table))
