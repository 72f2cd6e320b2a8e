"""Marked tokens with weights of their own (Longformer, Beltagy et al. 2020, section 3.1).

A token near by is read through the layer's weights, by all. A marked token's own reading, of the whole sequence (of what the
rule lets it see), goes through a second set of queries, keys and values; what the layer computed for it before is thrown away.

Legend: B batch, S sequence, M marked tokens of a row (packed: of the batch), H heads, D head size, E hidden size, K keys.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.linear import Linear
from maskfork.core.spec import AttentionSpec


@dataclass(frozen=True, eq=False)
class Where:
    """`queries`: the marked tokens as a batch [B, M]; `read` [B, M] their storage indices into the flattened tokens, rows with
    fewer filled up with their first token; `real` the places in [B * M] that are no filling, `index` their storage indices."""

    queries: Batch
    read: Tensor
    real: Tensor
    index: Tensor


def marked_tokens(batch: Batch, memo: dict[Any, Any]) -> Where | None:
    """The marked tokens of a batch, None where there is none; looked up once a pass."""
    if batch.marks is None:
        return None
    if "marked" not in memo:
        memo["marked"] = _find(batch, batch.marks)
    found: Where | None = memo["marked"]
    return found


def _find(batch: Batch, marks_BS: Tensor) -> Where | None:
    if batch.keep is not None:
        marks_BS = marks_BS & batch.keep
    if batch.segments is not None:
        marks_BS = marks_BS & (batch.segments >= 0)
    counts = marks_BS.sum(-1)
    most = int(counts.max()) if counts.numel() else 0
    if not most:
        return None
    rows, width = batch.shape
    first = torch.argsort(marks_BS, dim=-1, descending=True, stable=True)[:, :most]  # the marked ones, in their order
    real = torch.arange(most, device=marks_BS.device) < counts[:, None]
    read = torch.where(real, first, 0) + torch.arange(rows, device=marks_BS.device)[:, None] * width

    def chosen(x: Tensor) -> Tensor:
        return x.expand(rows, width).flatten()[read]

    segments = None if batch.segments is None else chosen(batch.segments)
    types = None if batch.types is None else chosen(batch.types)
    marks = torch.ones_like(first, dtype=torch.bool)
    queries = Batch(chosen(batch.tokens), chosen(batch.positions), None, types, segments, marks)
    return Where(queries, read, real.flatten().nonzero().squeeze(-1), read[real])


class MarkedHeads(nn.Module):
    """`qkv` [3 * H * D, E]: what marked tokens read with."""

    def __init__(self, spec: AttentionSpec, hidden_size: int) -> None:
        super().__init__()
        self.heads, self.inner = spec.num_heads, spec.num_heads * spec.head_size
        self.qkv = Linear(hidden_size, 3 * self.inner, bias=bool(spec.qkv_bias))

    def forward(self, x_BSE: Tensor, where: Where) -> tuple[Tensor, Tensor, Tensor]:
        """q [B, M, H, D] of the marked tokens; k and v [B, S, H, D] of all."""
        q = self.qkv.part(x_BSE.flatten(0, 1)[where.read], slice(0, self.inner))
        k, v = self.qkv.part(x_BSE, slice(self.inner, None)).chunk(2, dim=-1)
        return self._apart(q), self._apart(k), self._apart(v)

    def _apart(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:-1], self.heads, -1)


def put(out_BSHD: Tensor, marked_BMHD: Tensor, where: Where) -> Tensor:
    """The marked tokens' outputs in their places."""
    flat = out_BSHD.flatten(0, 1).index_copy(0, where.index, marked_BMHD.flatten(0, 1)[where.real])
    return flat.view_as(out_BSHD)


def put_weights(weights_BHSK: Tensor, marked_BHMK: Tensor, where: Where) -> Tensor:
    """The same for attention weights."""
    return put(weights_BHSK.transpose(1, 2).contiguous(), marked_BHMK.transpose(1, 2), where).transpose(1, 2)
