"""Pages that torch reads: what the model sees of them in one pass is a cache whose rows are texts of unlike lengths, padded on
the left.

Legend: B texts, N stored tokens of the longest, S new tokens, V vocabulary, G key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.models.model import Model
from maskfork.prompt.generate.engine.pages import Held, Pages
from maskfork.prompt.generate.engine.store import Part
from maskfork.prompt.generate.reading import Reading


class TorchPages(Pages):
    """Storage [total * size, G, D] a layer is made as it is first asked for. A pass reads as many tokens of each text."""

    def __init__(self, model: Model, total: int, size: int) -> None:
        super().__init__(total, size)
        self._model = model
        self._stores: tuple[dict[int, Tensor], dict[int, Tensor]] = ({}, {})  # keys and values by layer

    def read(self, parts: Sequence[Part], last: Sequence[Part]) -> Tensor | None:
        """As `Store.read`: each part in a pass of its own, the last tokens together."""
        for part in parts:
            self._pass([part])
        return self._pass(last) if last else None

    def _pass(self, parts: Sequence[Part]) -> Tensor:
        new, device = len(parts[0][1]), self._model.device
        cache = PagedCache(self, [held for held, _ in parts], new, device)
        scores = Reading(self._model, cache=cache).read(torch.tensor([ids for _, ids in parts], device=device))
        for held, _ in parts:
            held.length += new
        return scores

    def slots(self, held: Held, first: int, last: int) -> list[int]:
        """Where in the storage a text's places `first` to `last` (not included) are."""
        return [held.pages[i // self.size].number * self.size + i % self.size for i in range(first, last)]

    def store(self, which: int, layer: int, like: Tensor) -> Tensor:
        """[total * size, G, D] of the keys (0) or values (1)."""
        stores = self._stores[which]
        if layer not in stores:
            stores[layer] = torch.zeros(self.room, *like.shape[2:], dtype=like.dtype, device=like.device)
        return stores[layer]


class PagedCache(Cache):
    """For one pass over the new tokens of these texts, `new` of each, which their pages have room for."""

    def __init__(self, pages: TorchPages, texts: Sequence[Held], new: int, device: torch.device) -> None:
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
