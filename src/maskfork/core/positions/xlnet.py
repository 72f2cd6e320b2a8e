"""XLNet's relative attention (Yang et al. 2019, appendix A.2; Dai et al. 2019, section 3.3).

    logits[q, k] = scale * ( q.k  +  u.k  +  (q + v).R[q - k]  +  (q + w).G[type of q is type of k] )
                             kernel   u, v, w one vector a head and layer; R sinusoids of the distance through the layer's own
                                      projection; G two vectors a head and layer: same, different

Legend: B batch, Q queries, K keys, H heads, D head size, E hidden size, P distances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskfork.core.batch import Places
from maskfork.core.positions.hooks import Layer, Memo, Positions
from maskfork.core.spec import PositionSpec, StackSpec


@dataclass(frozen=True)
class Relative(PositionSpec):
    """Distances beyond `clamp` count as `clamp`; None for no limit. Of token types (`types` of them) only likeness counts."""

    clamp: int | None = None
    types: int = 3

    def build(self, stack: StackSpec) -> RelativePositions:
        return RelativePositions(self, stack)


class RelativeWeights(nn.Module):
    """One layer's: `project` [H * D, E]; `content`, `place`, `kind` [H, D]; `kinds` [2, H, D] (same type, another)."""

    def __init__(self, heads: int, size: int, width: int) -> None:
        super().__init__()
        self.project = nn.Linear(width, heads * size, bias=False)
        self.content, self.place, self.kind = (nn.Parameter(torch.zeros(heads, size)) for _ in range(3))
        self.kinds = nn.Parameter(torch.zeros(2, heads, size))


@dataclass(frozen=True)
class Distances:
    """What the layers of one pass share: sinusoids [P, E] and, unless places count up one by one, each cell's row."""

    waves: Tensor
    rows: Tensor | None
    other: Tensor | None  # [B, Q, K]: whether query and key have different types
    at: Places  # kept, so that its id stays its own


class RelativePositions(Positions):
    """`layers.{i}`: the weights of each layer."""

    has_logits = True

    def __init__(self, spec: Relative, stack: StackSpec) -> None:
        super().__init__()
        self.spec, self.width = spec, stack.hidden_size
        heads, size = stack.attention.num_heads, stack.attention.head_size
        self.layers = nn.ModuleList(RelativeWeights(heads, size, self.width) for _ in range(stack.depth))
        self.drop = nn.Dropout(stack.dropout)

    def logits(self, q_BQHD: Tensor, k_BKHD: Tensor, at: Places, layer: Layer, memo: Memo) -> Tensor:
        key = ("relative", id(at.queries), id(at.keys), q_BQHD.dtype)
        if key not in memo:
            memo[key] = self._distances(at, q_BQHD.dtype)
        far: Distances = memo[key]
        own: RelativeWeights = self.layers[layer.index]  # type: ignore[assignment]
        heads = q_BQHD.shape[2]
        places_PHD = own.project(far.waves).view(-1, heads, q_BQHD.shape[3])
        out = torch.einsum("bqhd,phd->bhqp", q_BQHD + own.place, places_PHD)
        if far.rows is None:
            out = _shift(out, k_BKHD.shape[1])
        else:
            out = out.gather(-1, far.rows[:, None].expand(out.shape[0], heads, -1, -1))
        out = out + torch.einsum("hd,bkhd->bhk", own.content, k_BKHD)[:, :, None, :]
        if far.other is not None:
            same, other = torch.einsum("bqhd,shd->sbhq", q_BQHD + own.kind, own.kinds)[..., None]
            out = out + torch.where(far.other[:, None], other, same)
        return out * layer.scale

    def _distances(self, at: Places, dtype: torch.dtype) -> Distances:
        q, k = at.queries, at.keys
        ordered = q.shape[0] == k.shape[0] == 1 and (
            torch.compiler.is_exporting()  # a traced text is read from its start
            or all(bool((x == torch.arange(x.shape[1], device=x.device)).all()) for x in (q, k))
        )
        rows = None
        if ordered:  # row Q - 1 - q + k of the table is the distance q - k, so that a shift puts them in place
            steps = torch.arange(q.shape[1] - 1, -k.shape[1], -1, device=q.device)
        else:
            far = q[:, :, None] - k[:, None, :]
            high = int(far.max())
            steps, rows = torch.arange(high, int(far.min()) - 1, -1, device=q.device), high - far
        other = None
        if at.query_types is not None and at.key_types is not None:
            other = at.query_types[:, :, None] != at.key_types[:, None, :]
        return Distances(self.drop(self.waves(steps).to(dtype)), rows, other, at)

    def waves(self, steps_P: Tensor) -> Tensor:
        """[P, E] float32: sines, then cosines, of a distance."""
        if self.spec.clamp is not None:
            steps_P = steps_P.clamp(-self.spec.clamp, self.spec.clamp)
        rate = torch.arange(0, self.width, 2, device=steps_P.device).float() * (-math.log(10_000.0) / self.width)
        angle = steps_P[:, None].float() * rate.exp()
        return torch.cat([angle.sin(), angle.cos()], dim=-1)


def _shift(x_BHQP: Tensor, keys: int) -> Tensor:
    """[B, H, Q, Q + K - 1] -> [B, H, Q, K]: row q starts at column Q - 1 - q."""
    batch, heads, queries, far = x_BHQP.shape
    padded = torch.cat([x_BHQP, x_BHQP.new_zeros(batch, heads, queries, 1)], dim=-1)
    flat = padded.flatten(-2)[..., queries - 1 : queries - 1 + queries * far]
    return flat.reshape(batch, heads, queries, far)[..., :keys]
