"""A cache whose keys and values enter and leave a graph: for exporters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from maskfork.core.batch import Batch, Traced
from maskfork.core.cache import Cache

Pairs = Sequence[tuple[Tensor, Tensor]]  # keys and values of every layer, [B, P, G, D]


class TracedCache(Cache):
    """`past`: P tokens of every layer; `keep` [B, P + S] of ones and zeros: which of them, and of the S new ones, are no padding.

    `present` holds, after a pass, the keys and values of all. With a source, `crossed` are its keys and values, [B, K, G, D],
    and `source_keep` [B, K] says which of its tokens are no padding.
    """

    def __init__(self, past: Pairs, keep: Tensor, crossed: Pairs = (), source_keep: Tensor | None = None) -> None:
        super().__init__()
        self.length = past[0][0].shape[1]
        self.past, self.keep = past, keep.bool()
        self.present: list[tuple[Tensor, Tensor]] = []
        self._cross = dict(enumerate(crossed))
        if source_keep is not None:  # the states themselves are read no more
            self.source = (source_keep[..., None].float(), Traced.of(source_keep, source_keep))

    def place(self, batch: Batch) -> tuple[Batch, Batch]:
        places = (self.keep.long().cumsum(-1) - 1).clamp_min(0)
        stored = Traced(self.keep.long(), places, self.keep)
        return replace(batch, positions=places[:, self.length :], keep=self.keep[:, self.length :]), stored

    def extend(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> tuple[Tensor, Tensor]:
        k, v = (torch.cat([old, new], dim=1) for old, new in zip(self.past[layer], (k_BSHD, v_BSHD), strict=True))
        self.present.append((k, v))
        return k, v
