"""Keys and values of tokens already read, so that the next token costs one step.

Storage grows by doubling; a layer's tensors are [B, room, H, D], of which the first `length` places are in use. The cache
also keeps the tokens' batch (positions, padding), because the mask is asked about stored places.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.mask import Mask
from maskfork.errors import UsageError


class Cache:
    """Grows as the model reads. One per sequence batch; `model(..., cache=cache)` reads and extends it."""

    def __init__(self, room: int = 0) -> None:
        """`room`: places to set aside at once, where it is known how far the text will go."""
        self.length, self.room = 0, room
        self.stored: Batch | None = None
        self.era: Hashable = None  # the schemes' `era` in which the keys were turned
        self.source: tuple[Tensor, Batch] | None = None  # encoder states and their batch, for cross-attention
        self._stores: tuple[dict[int, Tensor], ...] = ({}, {})  # keys and values by layer
        self._cross: dict[int, tuple[Tensor, Tensor]] = {}

    def place(self, batch: Batch) -> tuple[Batch, Batch]:
        """New tokens with their positions counted on from what is stored, and all that will then be stored.

        Padding is no place: positions continue from each row's last kept token. Nothing changes before `advance`, so a
        pass that fails can be tried again.
        """
        old = self.stored
        if old is None:
            return batch, batch
        if old.shape[0] != batch.shape[0]:
            raise UsageError(f"the cache holds {old.shape[0]} rows and the new tokens have {batch.shape[0]}: pass a row for each")
        tokens = torch.cat([old.tokens, batch.tokens], dim=1)
        if old.keep is None and batch.keep is None:
            places = old.positions[:, -1:] + 1 + batch.positions
            both = max(old.positions.shape[0], places.shape[0])
            stored = Batch(tokens, torch.cat([old.positions.expand(both, -1), places.expand(both, -1)], dim=1))
            return replace(batch, positions=places), replace(stored, ends=_ends(old, batch))
        if old.ends is not None or batch.ends is not None:
            raise UsageError("a tree of texts is not padded: pass a row for each text, or no padding")
        first = torch.ones_like(old.tokens, dtype=torch.bool) if old.keep is None else old.keep
        second = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.keep is None else batch.keep
        keep = torch.cat([first, second], dim=1)
        places = (keep.long().cumsum(-1) - 1).clamp_min(0)
        return replace(batch, positions=places[:, -batch.shape[1] :]), Batch(tokens, places, keep)

    def extend(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values after the first `length` places; return all in use, [B, K, H, D]."""
        k, v = (self._put(store, layer, new) for store, new in zip(self._stores, (k_BSHD, v_BSHD), strict=True))
        return k, v

    def _put(self, store: dict[int, Tensor], layer: int, new: Tensor) -> Tensor:
        """[B, length + S, ...]"""
        end, held = self.length + new.shape[1], store.get(layer)
        if held is None or held.shape[1] < end:
            room = new.new_empty((new.shape[0], max(2 * end, 64) if end > self.room else self.room, *new.shape[2:]))
            if held is not None:
                room[:, : self.length] = held[:, : self.length]
            store[layer] = room
        store[layer][:, self.length : end] = new
        return store[layer][:, :end]

    def shown(self, rule: Mask, stored: Batch) -> Batch:
        """What of all that is stored the keys of a layer with this rule are of."""
        return stored

    def crop(self, length: int) -> None:
        """Forget all but the first `length` places."""
        if self.stored is not None and length < self.length:
            self.stored, self.length = part_of(self.stored, slice(0, length)) if length else None, length

    def cross(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """A layer's keys and values of the source, once computed."""
        return self._cross.get(layer)

    def keep_cross(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> None:
        self._cross[layer] = (k_BSHD, v_BSHD)

    def advance(self, stored: Batch, era: Hashable = None) -> None:
        """Count the tokens that every layer has stored, and say in which era."""
        self.stored, self.length, self.era = stored, stored.shape[1], era

    def blank(self) -> Cache:
        """An empty cache with this one's source, to read everything into once more."""
        copy = self._empty()
        copy.source, copy._cross = self.source, self._cross
        return copy

    def _empty(self) -> Cache:
        """Another of the kind."""
        return Cache(self.room)

    def become(self, other: Cache) -> None:
        """Hold what the other holds."""
        self.__dict__.update(other.__dict__)

    def repeat(self, times: int) -> Cache:
        """Every row `times` times over, as its own storage: one shared prefix for several continuations."""
        return self.taken(torch.arange(self._rows, device=self._device).repeat_interleave(times))

    def taken(self, rows_N: Tensor) -> Cache:
        """These rows, in this order and as often as they are named, as its own storage."""
        copy = self._empty()
        copy.length, copy.era = self.length, self.era
        if self.stored is not None:
            copy.stored = _rows_of(self.stored, rows_N)
        if self.source is not None:
            copy.source = (self.source[0][rows_N], _rows_of(self.source[1], rows_N))
        for ours, theirs in zip(self._stores, copy._stores, strict=True):
            for layer, held in ours.items():
                theirs[layer] = held.new_empty((len(rows_N), *held.shape[1:]))
                used = self._used(layer)
                theirs[layer][:, used] = held[rows_N, used]
        copy._cross = {i: (k[rows_N], v[rows_N]) for i, (k, v) in self._cross.items()}
        return copy

    def reorder(self, rows_B: Tensor) -> None:
        """Row i becomes what row `rows_B[i]` was, in place, as beams move. Both must have read the same source.

        Only rows that change are copied, and nothing of the source is.
        """
        moved = (rows_B != torch.arange(len(rows_B), device=rows_B.device)).nonzero().squeeze(-1)
        if self.stored is None or not len(moved):
            return
        for store in self._stores:
            for layer, held in store.items():
                used = self._used(layer)
                held[moved, used] = held[rows_B[moved], used]
        self.stored = _rows_of(self.stored, rows_B)

    def _used(self, layer: int) -> slice:
        """The places of a layer's storage that hold something."""
        return slice(0, self.length)

    @property
    def bytes(self) -> int:
        """What the storage of keys and values takes."""
        return sum(held.numel() * held.element_size() for store in self._stores for held in store.values())

    @property
    def _rows(self) -> int:
        batch = self.stored or (self.source[1] if self.source is not None else None)
        return batch.shape[0] if batch is not None else 1

    @property
    def _device(self) -> torch.device | None:
        return self.stored.tokens.device if self.stored is not None else None


def _ends(old: Batch, new: Batch) -> Tensor | None:
    """Where branches end once a tree, all of which goes on from what is stored, stands behind it."""
    if old.ends is not None:
        raise UsageError("a tree of texts is stored and nothing goes on from all of it: read the texts from a copy of the cache")
    if new.ends is None:
        return None
    width = old.shape[1]
    trunk = new.ends.new_full((new.ends.shape[0], width), width + new.shape[1])
    return torch.cat([trunk, new.ends + width], dim=1)


def part_of(batch: Batch, places: slice) -> Batch:
    """These columns of a stored batch."""

    def part(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[:, places]

    return Batch(batch.tokens[:, places], batch.positions[:, places], part(batch.keep), part(batch.types))


def _rows_of(batch: Batch, rows_N: Tensor) -> Batch:
    def taken(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[rows_N]

    positions = batch.positions if batch.positions.shape[0] == 1 else batch.positions[rows_N]
    ends = batch.ends if batch.ends is None or batch.ends.shape[0] == 1 else batch.ends[rows_N]
    return Batch(batch.tokens[rows_N], positions, taken(batch.keep), taken(batch.types), ends=ends)
