"""The hooks of a position scheme. Each is optional: a scheme overrides those that it needs.

tokens -> embed -> x -> q, k -> rotate -> q.k -> + logits -> softmax
          learned             rotary           T5, ALiBi, disentangled
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

from torch import Tensor, nn

from maskfork.core.batch import Places

Memo = dict[Any, Any]  # what a scheme wants to keep within one forward pass
LENGTH = "length"  # in the memo: tokens of the longest sequence, where a scheme is `by_length`


class Layer(Protocol):
    """What a scheme may ask of the attention layer that it serves."""

    index: int
    scale: float

    def project(self, x: Tensor, part: str) -> Tensor:
        """x [..., E] through the layer's own "query" or "key" weights, [..., H * D]."""
        ...


class Positions(nn.Module):
    """A scheme without any effect; subclasses override hooks.

    Legend: B batch, S sequence, Q queries, K keys, H heads, D head size, E hidden size.
    """

    #: whether `logits` gives something, so that kernels know that a bias is coming
    has_logits = False
    #: whether a position beyond this is an error; None for no limit
    limit: int | None = None
    #: whether `rotate` turns otherwise in a longer text
    by_length = False

    def embed(self, x_BSE: Tensor, pos_BS: Tensor) -> Tensor:
        """Token vectors with the place added."""
        return x_BSE

    def rotate(self, q_BSHD: Tensor, k_BSHD: Tensor, pos_BS: Tensor, memo: Memo) -> tuple[Tensor, Tensor]:
        """Queries and keys of the same tokens, turned by their place."""
        return q_BSHD, k_BSHD

    def era(self, length: int) -> Hashable:
        """What of the text's length `rotate` depends on. What a cache holds of another era is read again."""
        return None

    def silent(self, longest: int) -> bool:
        """Whether `logits` adds nothing where no sequence has more tokens than this, so that kernels need not ask for it."""
        return not self.has_logits

    def logits(self, q_BQHD: Tensor, k_BKHD: Tensor, at: Places, layer: Layer, memo: Memo) -> Tensor:
        """What is added to the scaled q.k, [B or 1, H, Q, K]."""
        raise TypeError(f"{type(self).__name__} adds nothing to the attention logits")
