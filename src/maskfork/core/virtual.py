"""Tokens that no text has: vectors put before each sequence (prompt tuning), or keys and values alone (prefix tuning).

    text       the cat sat            their ids lie beyond the vocabulary, so that whoever holds the tokens (a batch, a cache)
    with two   V0 V1 the cat sat      knows which they are

A pass carries one of these (`Pass.virtual`) where the model was rewritten so (`models/adapters`).
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.mask import Mask


class Virtual(Protocol):
    """What a pass asks where virtual tokens may be among its own. `memo` is the pass's."""

    def embed(self, tokens_BS: Tensor, table: nn.Embedding) -> Tensor:
        """Vectors [B, S, E] of real and virtual tokens."""

    def give(self, layer: int, batch: Batch, memo: dict[Any, Any], k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """The keys and values [B, S, G, D] of a layer's new tokens, with those that virtual tokens bring themselves."""

    def rule(self, rule: Mask, stored: Batch, memo: dict[Any, Any]) -> Mask:
        """The rule over sequences that virtual tokens lead."""
