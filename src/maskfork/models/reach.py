"""Which token an output may depend on, by the rules alone: nothing is run here.

    layer 1: window of one      layer 2: the same         both: two tokens back
      1 0 0 0                     1 0 0 0                   1 0 0 0
      1 1 0 0                     1 1 0 0                   1 1 0 0
      0 1 1 0                     0 1 1 0                   1 1 1 0
      0 0 1 1                     0 0 1 1                   0 1 1 1

Legend: B batch, S sequence, Q places that read, K places that are read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.batch import Batch, bind
from maskfork.core.mask import Full, Mask, Window
from maskfork.core.spec import StackSpec


def allowed(rule: Mask, queries: Batch, keys: Batch, heads: int) -> Tensor:
    """bool [B, Q, K]: whether some head may read the key, with both batches' padding and packing."""
    rows, width = queries.shape
    drawn = bind(rule, queries, keys).matrix(width, keys.shape[1], rows=rows, heads=heads)
    return drawn.any(1).expand(rows, -1, -1)


def layer_reach(spec: StackSpec, index: int, batch: Batch, mask: Mask | None = None) -> Tensor:
    """bool [B, S, S]: may place q of a layer's output depend on place k of its input? Every place on itself."""
    own = torch.eye(batch.shape[1], dtype=torch.bool)
    return own | allowed(spec.masks[index] if mask is None else mask, batch, batch, spec.attention.num_heads)


@dataclass(frozen=True, eq=False)
class Reach:
    """`own` bool [B, S, S]: on which tokens of its own batch a stack's output may depend; `source` [B, S, K]: on which of the
    encoder's output, None where it reads none."""

    own: Tensor
    source: Tensor | None = None


def stack_reach(spec: StackSpec, batch: Batch, mask: Mask | None = None, source: Batch | None = None) -> Reach:
    """Over all layers: a place may depend on what some chain of layers leads to.

    `mask` replaces the spec's rules, as in `model(..., mask=...)`; `source` is what cross-attention reads.
    """
    rows, width = batch.shape
    own = torch.eye(width, dtype=torch.bool).expand(rows, -1, -1)
    across = read = None
    if spec.cross and source is not None:
        across = allowed(Full(), batch, source, spec.attention.num_heads)
        read = torch.zeros_like(across)
    for i in range(spec.depth):
        step = layer_reach(spec, i, batch, mask)
        own = compose(step, own)
        if read is not None and across is not None:
            read = compose(step, read) | across
        if i == 0 and spec.conv is not None:  # a convolution of the embeddings is added: it reads its neighbours' tokens
            side = (spec.conv.kernel - 1) // 2
            own = own | allowed(Window(side, side), batch, batch, 1)
    return Reach(own, read)


def compose(later: Tensor, earlier: Tensor) -> Tensor:
    """What `later` may reach through what `earlier` reached."""
    return (later.float() @ earlier.float()) > 0


def there(batch: Batch) -> Tensor:
    """bool [B, S]: tokens that are no padding."""
    kept = torch.ones(batch.shape, dtype=torch.bool) if batch.keep is None else batch.keep
    return kept if batch.segments is None else kept & (batch.segments >= 0)
