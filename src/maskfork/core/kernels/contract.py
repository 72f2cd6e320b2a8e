"""What a kernel is asked, and what it answers.

`plan(ask)` gives a `Plan` that computes exactly what was asked, or a `Refusal` with its reason. Nothing is dropped in
silence: no mask, no bias, no padding.

Legend: B batch, Q queries, K keys, H heads, G key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from maskfork.core.batch import Batch, Places, bind
from maskfork.core.mask import Mask

#: (q [B,Q,H,D], k [B,K,H,D], where they stand) -> what is added to the scaled q.k, [B or 1,H,Q,K]
Bias = Callable[[Tensor, Tensor, Places], Tensor]
#: (q, k, v, bias or None) -> (out [B,Q,H,D], weights [B,H,Q,K] or None)
Run = Callable[[Tensor, Tensor, Tensor, "Bias | None"], tuple[Tensor, "Tensor | None"]]


@dataclass(frozen=True, eq=False)
class Ask:
    """One attention, before any tensor is there.

    `rule` speaks of places; `queries` and `keys` are the batches that it is bound to (the same one for self-attention;
    with a cache, `keys` is all that is stored and `offset` the place of the first query in it).
    """

    rule: Mask
    queries: Batch
    keys: Batch
    heads: int
    kv_heads: int
    scale: float
    offset: int = 0
    bias: bool = False
    weights: bool = False
    dropout: float = 0.0
    softcap: float | None = None
    grad: bool = False

    @property
    def device(self) -> torch.device:
        return self.keys.tokens.device

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(B, Q, K)"""
        rows, width = self.keys.shape
        return rows, self.queries.shape[1], width

    @property
    def places(self) -> Places:
        """Of all queries and keys, as the batches store them."""
        lengths = self.queries.token_lengths if self.queries.shape[0] == 1 or not self.queries.is_packed else None
        return Places(self.queries.positions, self.keys.positions, self.queries.types, self.keys.types, lengths)

    @property
    def bound(self) -> Mask:
        """The rule in storage indices, with padding and packing."""
        if self.offset:  # queries are stored places too
            return bind(self.rule, self.keys, self.keys)
        return bind(self.rule, self.queries, self.keys)

    def allowed(self) -> Tensor:
        """The bound rule as bool [B or 1, H or 1, Q, K]."""
        rows, queries, keys = self.sizes
        return self.bound.matrix(queries, keys, rows=rows, heads=self.heads, offset=self.offset, device=self.device)


@dataclass(frozen=True, eq=False)
class Plan:
    """Taken: `run` computes it; `how` says in words which way."""

    kernel: str
    how: str
    run: Run


@dataclass(frozen=True)
class Refusal:
    """Not taken, and why."""

    kernel: str
    reason: str


class Kernel(Protocol):
    """A way to compute attention."""

    name: str

    def plan(self, ask: Ask) -> Plan | Refusal:
        """Take exactly what is asked, or refuse with the reason."""


def spread(x_BKGD: Tensor, heads: int) -> Tensor:
    """Key/value heads repeated so that every query head has its own, [B, K, H, D]."""
    groups = x_BKGD.shape[2]
    return x_BKGD if groups == heads else x_BKGD.repeat_interleave(heads // groups, dim=2)
