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
from maskfork.errors import UsageError


class Cache:
    """Grows as the model reads. One per sequence batch; `model(..., cache=cache)` reads and extends it."""

    def __init__(self) -> None:
        self.length = 0
        self.stored: Batch | None = None
        self.era: Hashable = None  # the schemes' `era` in which the keys were turned
        self.source: tuple[Tensor, Batch] | None = None  # encoder states and their batch, for cross-attention
        self._keys: dict[int, Tensor] = {}
        self._values: dict[int, Tensor] = {}
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
            return replace(batch, positions=places), stored
        first = torch.ones_like(old.tokens, dtype=torch.bool) if old.keep is None else old.keep
        second = torch.ones_like(batch.tokens, dtype=torch.bool) if batch.keep is None else batch.keep
        keep = torch.cat([first, second], dim=1)
        places = (keep.long().cumsum(-1) - 1).clamp_min(0)
        return replace(batch, positions=places[:, -batch.shape[1] :]), Batch(tokens, places, keep)

    def extend(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> tuple[Tensor, Tensor]:
        """Store a layer's new keys and values after the first `length` places; return all in use, [B, K, H, D]."""
        end = self.length + k_BSHD.shape[1]
        for store, new in ((self._keys, k_BSHD), (self._values, v_BSHD)):
            held = store.get(layer)
            if held is None or held.shape[1] < end:
                room = new.new_empty((new.shape[0], max(2 * end, 64), *new.shape[2:]))
                if held is not None:
                    room[:, : self.length] = held[:, : self.length]
                store[layer] = room
            store[layer][:, self.length : end] = new
        return self._keys[layer][:, :end], self._values[layer][:, :end]

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
        copy = Cache()
        copy.source, copy._cross = self.source, self._cross
        return copy

    def become(self, other: Cache) -> None:
        """Hold what the other holds."""
        self.__dict__.update(other.__dict__)

    def repeat(self, times: int) -> Cache:
        """Every row `times` times over, as its own storage: one shared prefix for several continuations."""
        copy = Cache()
        copy.length, copy.era = self.length, self.era
        if self.stored is not None:
            copy.stored = _repeat_batch(self.stored, times)
        if self.source is not None:
            copy.source = (self.source[0].repeat_interleave(times, 0), _repeat_batch(self.source[1], times))
        copy._keys = {i: x[:, : self.length].repeat_interleave(times, 0) for i, x in self._keys.items()}
        copy._values = {i: x[:, : self.length].repeat_interleave(times, 0) for i, x in self._values.items()}
        copy._cross = {i: (k.repeat_interleave(times, 0), v.repeat_interleave(times, 0)) for i, (k, v) in self._cross.items()}
        return copy


def _repeat_batch(batch: Batch, times: int) -> Batch:
    def again(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.repeat_interleave(times, 0)

    positions = batch.positions if batch.positions.shape[0] == 1 else batch.positions.repeat_interleave(times, 0)
    return Batch(batch.tokens.repeat_interleave(times, 0), positions, again(batch.keep), again(batch.types))
