"""Training on a CPU by plain batched multiplications, with the gradient written out beside them.

torch's fused kernel is made for memory: on a CPU its gradient runs in bf16 at a third of the speed of the multiplications that
it stands for, and with dropout it falls back to single steps with slow random numbers (docs/log.md has the figures).

    scores = scale q k' (+ mask) -> softmax -> dropout -> times v       a causal rule goes by blocks of queries:

      keys ─────────>
    q ┌───┬·········         what lies right of the block's last key is not computed
    │ ├───┴───┐     ·
    v └───────┴─────┘

Legend: B batch, Q queries, K keys, H heads, D head size, N = B * H.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskfork.core.dropout import keep_mask

#: the largest probabilities that are kept for the way back, of one attention; beyond it torch's kernel, which keeps none
LARGEST = 64 * 2**20
BLOCK = 128  # queries of a block of a causal attention; measured: smaller blocks cost more calls than they spare


def pays(q_BQHD: Tensor, k_BKHD: Tensor, mask: Tensor | None, dropout: float) -> bool:
    """Whether this way is the quicker one: a training pass on a CPU, in bf16 or with dropout, not too large."""
    if q_BQHD.device.type != "cpu" or not torch.is_grad_enabled():
        return False
    if not any(x is not None and x.requires_grad for x in (q_BQHD, k_BKHD, mask)):
        return False
    low = q_BQHD.dtype.itemsize == 2 or torch.is_autocast_enabled("cpu")
    size = q_BQHD.shape[0] * q_BQHD.shape[2] * q_BQHD.shape[1] * k_BKHD.shape[1] * (2 if low else q_BQHD.dtype.itemsize)
    return (low or dropout > 0.0) and size <= LARGEST


def by_products(
    q_BQHD: Tensor, k_BKHD: Tensor, v_BKHD: Tensor, mask: Tensor | None, scale: float, dropout: float, *, causal: bool
) -> Tensor:
    """[B, Q, H, D of v]. `mask` [B, H or 1, Q, K]: bool (may read) or what is added; every query may read some key."""
    if torch.is_autocast_enabled("cpu"):
        low = torch.get_autocast_dtype("cpu")
        q_BQHD, k_BKHD, v_BKHD = q_BQHD.to(low), k_BKHD.to(low), v_BKHD.to(low)
    out: Tensor = _Products.apply(q_BQHD, k_BKHD, v_BKHD, mask, scale, dropout, causal)  # type: ignore[no-untyped-call]
    return out


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float, dropout: float, causal: bool
    ) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            q_NQD, k_NKD, v_NKD = _rows(q), _rows(k), _rows(v)
            added = _added(mask, q.dtype)
            out_NQD = q.new_empty(*q_NQD.shape[:2], v.shape[-1])
            kept: list[Tensor] = []
            for queries, keys in _blocks(q.shape[1], k.shape[1], causal):
                future = _future(queries, keys, q) if causal else None
                scores = _times(q_NQD[:, queries], k_NKD[:, keys].mT, scale, future)
                if added is not None:
                    scores.view(*_heads(q), *scores.shape[1:]).add_(added[:, :, queries, keys])
                shares = torch.softmax(scores, -1)
                del scores
                kept.append(shares)
                if dropout:
                    kept.append(keep_mask(shares, dropout))
                    shares = shares * kept[-1]
                out_NQD[:, queries] = torch.bmm(shares, v_NKD[:, keys])
        ctx.save_for_backward(q_NQD, k_NKD, v_NKD, mask, *kept)
        ctx.scale, ctx.dropout, ctx.causal, ctx.heads = scale, dropout, causal, _heads(q)
        return _back(out_NQD, ctx.heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q_NQD, k_NKD, v_NKD, mask, *kept = ctx.saved_tensors
        slope_NQD = _rows(grads[0])
        dq, dk, dv, dmask = torch.empty_like(q_NQD), k_NKD, v_NKD, None
        blocks = _blocks(q_NQD.shape[1], k_NKD.shape[1], ctx.causal)
        # The last block reads all keys: it writes their gradients, the others add to them.
        for number in reversed(range(len(blocks))):
            queries, keys = blocks[number]
            shares, *keep = kept[2 * number : 2 * number + 2] if ctx.dropout else kept[number : number + 1]
            slope = slope_NQD[:, queries]
            dshares = torch.bmm(slope, v_NKD[:, keys].mT)
            if keep:
                dshares *= keep[0]
            dscores = torch.ops.aten._softmax_backward_data(dshares, shares, -1, shares.dtype)
            if ctx.needs_input_grad[3]:
                dmask = dscores.view(*ctx.heads, *dscores.shape[1:]).sum_to_size(mask.shape)
            dropped = torch.mul(shares, keep[0], out=dshares) if keep else shares
            part_dk = _times(dscores.mT, q_NQD[:, queries], ctx.scale)
            part_dv = torch.bmm(dropped.mT, slope)
            dq[:, queries] = _times(dscores, k_NKD[:, keys], ctx.scale)
            if number == len(blocks) - 1:
                dk, dv = part_dk, part_dv
            else:
                dk[:, keys] += part_dk
                dv[:, keys] += part_dv
        return _back(dq, ctx.heads), _back(dk, ctx.heads), _back(dv, ctx.heads), dmask, None, None, None


def _times(left: Tensor, right: Tensor, scale: float, added: Tensor | None = None) -> Tensor:
    """scale * left @ right + added, in one multiplication."""
    base = left.new_empty(1, 1) if added is None else added
    return torch.baddbmm(base, left, right, beta=0.0 if added is None else 1.0, alpha=scale)


def _blocks(queries: int, keys: int, causal: bool) -> list[tuple[slice, slice]]:
    """Queries, and the keys that they may read."""
    if not causal or queries != keys or queries < 2 * BLOCK:
        return [(slice(0, queries), slice(0, keys))]
    return [(slice(at, min(at + BLOCK, queries)), slice(0, min(at + BLOCK, queries))) for at in range(0, queries, BLOCK)]


def _future(queries: slice, keys: slice, like: Tensor) -> Tensor:
    """-inf where a key comes after the query, [Q, K]."""
    rows, columns = queries.stop - queries.start, keys.stop - keys.start
    return like.new_full((rows, columns), float("-inf")).triu_(queries.start - keys.start + 1)


def _added(mask: Tensor | None, dtype: torch.dtype) -> Tensor | None:
    """A mask as what is added to the scores; rows that a batch repeats are made once."""
    if mask is None or mask.dtype != torch.bool:
        return mask
    one = mask[:1] if mask.stride(0) == 0 else mask
    return torch.zeros_like(one, dtype=dtype).masked_fill_(~one, float("-inf"))


def _heads(x_BSHD: Tensor) -> tuple[int, int]:
    return x_BSHD.shape[0], x_BSHD.shape[2]


def _rows(x_BSHD: Tensor) -> Tensor:
    """[N, S, D], contiguous."""
    return x_BSHD.transpose(1, 2).reshape(-1, x_BSHD.shape[1], x_BSHD.shape[3])


def _back(x_NSD: Tensor, heads: tuple[int, int]) -> Tensor:
    """[B, S, H, D]"""
    return x_NSD.view(*heads, *x_NSD.shape[1:]).transpose(1, 2)
