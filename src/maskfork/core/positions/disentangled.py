"""DeBERTa's disentangled attention: content to position and position to content (He et al. 2021, section 3.1).

    logits[q, k] = scale * ( q.k  +  q.PK[d(q, k)]  +  k.PQ[d(q, k)] )
                             in the kernel   c2p            p2c         d = bucket(q - k) + span, clamped

PK and PQ are projections of one shared table of relative places: by the layer's own key and query weights (v3) or by
weights of their own (v1, v2).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskfork.core.batch import Places
from maskfork.core.positions.hooks import Layer, Memo, Positions
from maskfork.core.spec import NormSpec, PositionSpec, StackSpec
from maskfork.core.table import Table


@dataclass(frozen=True)
class Disentangled(PositionSpec):
    """`max_distance` places to each side; with `buckets` > 0 the far ones share log-sized buckets."""

    max_distance: int
    buckets: int = 0
    content_to_position: bool = True
    position_to_content: bool = True
    shared: bool = True  # the layer's own query and key weights project the places
    key_bias: bool = True  # of the projection to keys, where it is not shared (v1 has none)
    norm: NormSpec | None = None
    dropout: float = 0.0

    @property
    def span(self) -> int:
        return self.buckets or self.max_distance

    def build(self, stack: StackSpec) -> DisentangledPositions:
        return DisentangledPositions(self, stack)


class DisentangledPositions(Positions):
    """`table` [2 * span, E]; `keys`, `queries` one projection a layer where they are not shared."""

    has_logits = True

    def __init__(self, spec: Disentangled, stack: StackSpec) -> None:
        super().__init__()
        self.spec = spec
        width, inner = stack.hidden_size, stack.attention.num_heads * stack.attention.head_size
        self.table = Table(2 * spec.span, width)
        self.norm = nn.LayerNorm(width, spec.norm.eps) if spec.norm else nn.Identity()
        self.drop = nn.Dropout(spec.dropout)

        def own(wanted: bool, *, bias: bool) -> nn.ModuleList:
            count = stack.depth if wanted and not spec.shared else 0
            return nn.ModuleList(nn.Linear(width, inner, bias=bias) for _ in range(count))

        self.keys = own(spec.content_to_position, bias=spec.key_bias)
        self.queries = own(spec.position_to_content, bias=True)

    def index(self, distance: Tensor) -> Tensor:
        """Query place minus key place -> row of the table, same shape."""
        spec = self.spec
        if spec.buckets:
            middle = spec.buckets // 2
            near = distance.abs() < middle
            size = torch.where(near, torch.full_like(distance, middle - 1), distance.abs()).float()
            whole = torch.log(torch.tensor((spec.max_distance - 1) / middle, device=size.device))  # float32, as trained
            steps = torch.log(size / middle) / whole * (middle - 1)
            far = (torch.ceil(steps) + middle) * torch.sign(distance)
            distance = torch.where(size <= middle, distance.float(), far).long()
        return (distance + spec.span).clamp(0, 2 * spec.span - 1)

    def logits(self, q_BQHD: Tensor, k_BKHD: Tensor, at: Places, layer: Layer, memo: Memo) -> Tensor:
        if (found := memo.get(("rows", id(at.queries), id(at.keys)))) is None:
            rows = self.index(at.queries[:, :, None] - at.keys[:, None, :])
            low, high = 0, len(self.table.weight)
            if not torch.compiler.is_exporting():  # short texts touch few of the places: project only those
                low, high = int(rows.min()), int(rows.max()) + 1
            found = memo["rows", id(at.queries), id(at.keys)] = (rows - low, low, high, at.queries, at.keys)
        rows_BQK, low, high = found[:3]
        batch, heads = q_BQHD.shape[0], q_BQHD.shape[2]
        places_PE = self.drop(self.norm(self.table.weight[low:high]))
        out: Tensor | None = None
        if self.spec.content_to_position:
            keys = self.keys[layer.index](places_PE) if self.keys else layer.project(places_PE, "key")
            c2p = torch.einsum("bqhd,phd->bhqp", q_BQHD, keys.unflatten(-1, (heads, -1)))
            out = c2p.gather(-1, rows_BQK[:, None].expand(batch, heads, -1, -1))
        if self.spec.position_to_content:
            queries = self.queries[layer.index](places_PE) if self.queries else layer.project(places_PE, "query")
            p2c = torch.einsum("bkhd,phd->bhpk", k_BKHD, queries.unflatten(-1, (heads, -1)))
            back = p2c.gather(-2, rows_BQK[:, None].expand(batch, heads, -1, -1))
            out = back if out is None else out + back
        if out is None:
            return q_BQHD.new_zeros(1, 1, 1, 1)
        return out * layer.scale
