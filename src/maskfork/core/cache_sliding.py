"""A cache that forgets what no later token may read: exact for layers whose rule looks back a bounded way.

    window of 3 before      stored places         0 1 2 3 4 5 6 7        positions stay those of the text
    a layer's storage       base 4                        4 5 6 7 . .    the next token, 8, reads 5 6 7 8

Layers whose rule looks back without a bound keep everything (Gemma 2 has both kinds).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache, part_of
from maskfork.core.mask import Mask, Window, conjuncts
from maskfork.errors import UsageError

SLACK = 64  # places of a full storage that are filled before it is moved to its start again


def looks_back(rule: Mask) -> int | None:
    """How many places before its own a token may read by this rule; None for no limit."""
    return min((part.before for part in conjuncts(rule) if isinstance(part, Window) and part.before is not None), default=None)


class SlidingCache(Cache):
    """`masks`: the rule of each layer."""

    def __init__(self, masks: Sequence[Mask], room: int = 0) -> None:
        super().__init__(room)
        self._masks = tuple(masks)
        self._base: dict[int, int] = {}  # by layer: the place that is stored first

    def extend(self, layer: int, k_BSHD: Tensor, v_BSHD: Tensor) -> tuple[Tensor, Tensor]:
        before = looks_back(self._masks[layer])
        if before is None:
            return super().extend(layer, k_BSHD, v_BSHD)
        first, end = max(0, self.length - before), self.length + k_BSHD.shape[1]
        base = self._base.get(layer, 0)
        moved = layer not in self._stores[0] or end - base > self._stores[0][layer].shape[1]
        for store, new in zip(self._stores, (k_BSHD, v_BSHD), strict=True):
            if moved:
                room = new.new_empty((new.shape[0], end - first + min(before, SLACK), *new.shape[2:]))
                if layer in store:
                    room[:, : self.length - first] = store[layer][:, first - base : self.length - base]
                store[layer] = room
        if moved:
            self._base[layer] = base = first
        for store, new in zip(self._stores, (k_BSHD, v_BSHD), strict=True):
            store[layer][:, self.length - base : end - base] = new
        keys, values = (store[layer][:, first - base : end - base] for store in self._stores)
        return keys, values

    def shown(self, rule: Mask, stored: Batch) -> Batch:
        before = looks_back(rule)
        first = 0 if before is None else max(0, self.length - before)
        return stored if not first else part_of(stored, slice(first, None))

    def crop(self, length: int) -> None:
        for layer, base in self._base.items():
            before = looks_back(self._masks[layer]) or 0
            if length < self.length and max(0, length - before) < base:
                raise UsageError("a sliding cache has forgotten what stood there: guess ahead with a growing one")
        super().crop(length)

    def _empty(self) -> Cache:
        return SlidingCache(self._masks, self.room)

    def taken(self, rows_N: Tensor) -> Cache:
        copy: Any = super().taken(rows_N)
        copy._base = dict(self._base)
        return copy  # type: ignore[no-any-return]

    def _used(self, layer: int) -> slice:
        base = self._base.get(layer, 0)
        return slice(0, self.length - base)
