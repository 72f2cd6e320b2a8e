"""Reading by the native pass of a decoder: the same face as `Reading`, with a store of its own.

Legend: B lines, S tokens, V vocabulary.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from maskfork.errors import UsageError
from maskfork.models.away import Stamp, stamp_of
from maskfork.models.model import Model
from maskfork.models.native import Bits, NativeDecoder

_MADE: WeakKeyDictionary[Model, dict[Bits, tuple[Stamp, NativeDecoder]]] = WeakKeyDictionary()


class QuickCache:
    """Keys and values [2, L, B, G, room, D], and how many tokens of each line are in them; no padding is stored."""

    def __init__(self, decoder: NativeDecoder, room: int, stored: Tensor | None = None, lengths: Tensor | None = None) -> None:
        self.decoder, self.room = decoder, room
        self.stored, self.lengths = stored, lengths
        self.longest = 0 if lengths is None else int(lengths.max())

    def begin(self, rows: int) -> tuple[Tensor, Tensor]:
        if self.stored is None or self.lengths is None:
            self.stored, self.lengths = self.decoder.storage(rows, self.room), torch.zeros(rows, dtype=torch.long)
        return self.stored, self.lengths

    def add(self, counts: Tensor | int) -> None:
        """So many tokens of each line come to it; raises UsageError where there is no room for them."""
        assert self.lengths is not None
        lengths = self.lengths + counts
        longest = self.longest + counts if isinstance(counts, int) else int(lengths.max())
        if longest > self.room:
            raise UsageError(f"there is room for {self.room} tokens and the text has more: set more aside")
        self.lengths, self.longest = lengths, longest

    def taken(self, rows_N: Tensor) -> QuickCache:
        """These rows, as often as they are named."""
        if self.stored is None or self.lengths is None:
            return self
        return QuickCache(self.decoder, self.room, self.stored[:, :, rows_N].contiguous(), self.lengths[rows_N])

    def repeat(self, times: int) -> QuickCache:
        rows = 0 if self.lengths is None else len(self.lengths)
        return self.taken(torch.arange(rows).repeat_interleave(times))

    def reorder(self, rows_B: Tensor) -> None:
        """Row i becomes what row `rows_B[i]` was; only rows that change are copied."""
        moved = (rows_B != torch.arange(len(rows_B))).nonzero().squeeze(-1)
        if self.stored is not None and self.lengths is not None and len(moved):
            used = slice(0, self.longest)
            self.stored[:, :, moved, :, used] = self.stored[:, :, rows_B[moved], :, used]
            self.lengths = self.lengths[rows_B]
            self.longest = int(self.lengths.max())


class QuickReading:
    """Lines of at most `room` tokens."""

    def __init__(self, model: Model, bits: Bits, room: int) -> None:
        self.cache, self._each = QuickCache(decoder_of(model, bits), room), torch.arange(0)

    @torch.inference_mode()
    def read(self, tokens_BS: Tensor, keep_BS: Tensor | None = None) -> Tensor:
        """Scores [B, V] float32 of what comes after the last of these tokens."""
        rows, width = tokens_BS.shape
        stored, lengths = self.cache.begin(rows)
        if width == 1 and keep_BS is None:
            if len(self._each) != rows:
                self._each = torch.arange(rows)
            self.cache.add(1)
            return self.cache.decoder.decode(tokens_BS.flatten(), self._each, lengths, self._each, stored)
        keep = torch.ones_like(tokens_BS, dtype=torch.bool) if keep_BS is None else keep_BS
        row, counts = torch.arange(rows)[:, None].expand(rows, width)[keep], keep.sum(1)
        slot = (lengths[:, None] + keep.long().cumsum(1) - 1)[keep]
        self.cache.add(counts)
        return self.cache.decoder.decode(tokens_BS[keep], row, slot, counts.cumsum(0) - 1, stored)

    def take(self, rows_N: Tensor) -> None:
        """Go on with these rows alone, or with some of them several times."""
        self.cache = self.cache.taken(rows_N)


def decoder_of(model: Model, bits: Bits) -> NativeDecoder:
    """Made once a model, and again where its weights have changed. What the folder can give again is let go then."""
    made, away = _MADE.setdefault(model, {}), model.away
    stamp = () if away is not None and away.untouched(model) else stamp_of(model)
    if bits not in made or made[bits][0] != stamp:
        model.here()
        made[bits] = (stamp, NativeDecoder(model, bits))
        if away is not None:
            away.leave(model)
    return made[bits][1]
