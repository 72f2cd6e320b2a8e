"""What the model sees of the pages in one pass: a cache whose rows are texts of unlike lengths, padded on the left.

Legend: B texts, N stored tokens of the longest, S new tokens, G key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.prompt.generate.engine.pages import Held, Pages


class PagedCache(Cache):
    """For one pass over the new tokens of these texts, `new` of each, which their pages have room for."""

    def __init__(self, pages: Pages, texts: Sequence[Held], new: int, device: torch.device) -> None:
        super().__init__()
        self._pages = pages
        lengths = [text.length for text in texts]
        self.length = max(lengths)
        keep = torch.arange(self.length)[None] >= self.length - torch.tensor(lengths)[:, None]
        slots = [[0] * (self.length - n) + pages.slots(text, 0, n) for text, n in zip(texts, lengths, strict=True)]
        self._past = torch.tensor(slots, device=device, dtype=torch.long)
        self._new = torch.tensor([pages.slots(text, text.length, text.length + new) for text in texts], device=device).flatten()
        if self.length:
            tokens = torch.zeros(len(texts), self.length, dtype=torch.long)
            places = (keep.long().cumsum(-1) - 1).clamp_min(0)
            self.stored = Batch(tokens.to(device), places.to(device), None if bool(keep.all()) else keep.to(device))

    def extend(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> tuple[Tensor, Tensor]:
        """[B, N + S, G, D]"""
        k, v = (self._read(i, layer, new) for i, new in enumerate((k_BSHD, v_BSHD)))
        return k, v

    def _read(self, which: int, layer: int, new: Tensor) -> Tensor:
        store = self._pages.store(which, layer, new)
        past = store[self._past] if self.length else new[:, :0]
        store[self._new] = new.flatten(0, 1)
        return torch.cat([past, new], dim=1)
