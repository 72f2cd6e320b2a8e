"""Queries, keys and values by one multiplication.

Legend: B batch, S sequence, H heads, G key/value heads, D head size, E hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from maskfork.core.linear import Linear
from maskfork.core.parts import norm
from maskfork.core.spec import AttentionSpec

Turn = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # queries and keys of the same tokens, turned by their place


class Fused(Linear):
    """Queries, keys and values by one multiplication, [(H + 2G) * D, E]; normed where the spec says so, then turned.

    A "query_value" bias has (H + G) * D numbers: the keys have none (DeBERTa v1).
    """

    def __init__(self, spec: AttentionSpec, hidden_size: int) -> None:
        inner, grouped = spec.num_heads * spec.head_size, spec.num_kv_heads * spec.head_size
        super().__init__(hidden_size, inner + 2 * grouped, bias=spec.qkv_bias is True)
        self.sizes, self.head_size = (inner, grouped, grouped), spec.head_size
        self.keyless = spec.qkv_bias == "query_value"
        if self.keyless:
            self.bias = nn.Parameter(torch.zeros(inner + grouped))
        self.over_width = spec.qk_norm_over == "width"
        whole = (inner, grouped) if self.over_width else (spec.head_size,) * 2
        self.q_norm = norm(spec.qk_norm, whole[0]) if spec.qk_norm else nn.Identity()
        self.k_norm = norm(spec.qk_norm, whole[1]) if spec.qk_norm else nn.Identity()

    def biases(self) -> Tensor | None:
        """One number a row of the weight, or None."""
        if not self.keyless:
            return self.bias
        inner, grouped, _ = self.sizes
        return torch.cat([self.bias[:inner], self.bias.new_zeros(grouped), self.bias[inner:]])

    def rebias(self, bias: Tensor | None) -> None:
        if self.keyless and bias is not None:
            inner, grouped, _ = self.sizes
            bias = torch.cat([bias[:inner], bias[inner + grouped :]])
        super().rebias(bias)

    def forward(self, x_BSE: Tensor, turn: Turn) -> tuple[Tensor, Tensor, Tensor]:  # type: ignore[override]
        """q [B, S, H, D], k and v [B, S, G, D]."""
        flat = self.multiply(x_BSE)
        if self.over_width:
            q, k, v = torch.split(flat, list(self.sizes), dim=-1)
            q, k = self.q_norm(q), self.k_norm(k)
            return *turn(self._apart(q), self._apart(k)), self._apart(v)
        heads = [n // self.head_size for n in self.sizes]
        q, k, v = torch.split(self._apart(flat), heads, dim=-2)
        return *turn(self.q_norm(q), self.k_norm(k)), v

    def _apart(self, x: Tensor) -> Tensor:
        """[..., H * D] -> [..., H, D]"""
        return x.unflatten(-1, (-1, self.head_size))  # type: ignore[no-any-return,no-untyped-call]

    def place(self, x: Tensor, part: str) -> Tensor:
        """x [..., E] through the rows of the queries or of the keys alone, [..., H * D]."""
        inner, grouped, _ = self.sizes
        return self.part(x, slice(0, inner) if part == "query" else slice(inner, inner + grouped))
