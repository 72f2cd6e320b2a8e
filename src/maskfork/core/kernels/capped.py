"""Attention whose logits are capped, cap * tanh(logit / cap) (Gemma 2), which torch's kernel cannot do.

      k ─────────────>            a block of queries at a time, over the keys that one of them may read:
    q ┌──┬··········              a causal rule computes half of the square, a window a band of it,
    │ │▒▒│·         ·             and what is computed stays in the processor's cache
    │ ├──┴──┐       ·
    v └─────┴───────┘

Legend: B batch, Q queries, K keys, H heads = G key/value heads x P query heads each, D head size, N = B * G.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal

BLOCK = 64  # queries; measured: 32 has too many calls, 256 leaves the cache
Spans = list[tuple[slice, slice]]  # queries, and the keys that one of them may read


class Capped:
    """Exact, in float32 or wider; its gradient is written out beside it."""

    name = "capped"

    def plan(self, ask: Ask) -> Plan | Refusal:
        if ask.softcap is None:
            return Refusal(self.name, "the logits are not capped")
        for refused, reason in (
            (ask.weights, "it does not give the attention weights"),
            (ask.bias, "it adds nothing to the logits"),
            (ask.dropout, "it has no dropout"),
        ):
            if refused:
                return Refusal(self.name, reason)
        allowed = ask.allowed()
        spans = spans_of(allowed)

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            return capped_attention(q, k, v, allowed, spans, ask.scale, float(ask.softcap or 0.0)), None

        read = sum((q.stop - q.start) * (k.stop - k.start) for q, k in spans) / max(allowed.shape[-2] * allowed.shape[-1], 1)
        return Plan(self.name, f"{len(spans)} blocks of queries, {read:.0%} of the square", run)


def spans_of(allowed: Tensor) -> Spans:
    """The blocks of a mask [B or 1, H or 1, Q, K]."""
    some = allowed.flatten(0, 1).any(0)
    found = []
    for start in range(0, some.shape[0], BLOCK):
        rows = slice(start, min(start + BLOCK, some.shape[0]))
        keys = some[rows].any(0).nonzero()
        if keys.numel():
            found.append((rows, slice(int(keys[0]), int(keys[-1]) + 1)))
    return found


def capped_attention(
    q_BQHD: Tensor, k_BKGD: Tensor, v_BKGD: Tensor, allowed: Tensor, spans: Spans, scale: float, cap: float
) -> Tensor:
    """[B, Q, H, D of v]; zeros where a query may read nothing. `allowed` is bool [B or 1, H or 1, Q, K]."""
    rows, queries, heads, _ = q_BQHD.shape
    groups, wide = k_BKGD.shape[2], torch.promote_types(q_BQHD.dtype, torch.float32)
    shape = (rows, groups, queries, heads // groups)
    # The queries of one key/value head lie together, query by query, so that a block of them is a slice.
    q = (q_BQHD.to(wide) * (scale / cap)).view(rows, queries, groups, heads // groups, -1).transpose(1, 2)
    q = q.reshape(rows * groups, queries * shape[3], -1)
    k, v = (x.to(wide).transpose(1, 2).reshape(rows * groups, x.shape[1], -1) for x in (k_BKGD, v_BKGD))
    apart = (groups, shape[3]) if allowed.shape[1] > 1 else (1, 1)
    forbidden = ~allowed.unflatten(1, apart).transpose(2, 3)  # type: ignore[no-untyped-call]  # [B or 1, G or 1, Q, P or 1, K]
    out: Tensor = _Capped.apply(q, k, v, forbidden, shape, spans, cap)  # type: ignore[no-untyped-call]
    return out.view(*shape, -1).transpose(1, 2).reshape(rows, queries, heads, -1).to(q_BQHD.dtype)


class _Capped(torch.autograd.Function):
    """softmax(cap * tanh(q k), over what is allowed) v, for q [N, Q * P, D], k and v [N, K, D]."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, forbidden: Tensor, shape: tuple[int, ...], spans: Spans, cap: float
    ) -> Tensor:
        out = q.new_zeros(*q.shape[:2], v.shape[-1])
        kept: list[Tensor] = []
        for queries, keys in spans:
            rows = _rows(queries, shape)
            bent = torch.bmm(q[:, rows], k[:, keys].transpose(1, 2)).tanh_()
            weights = bent * cap
            split = weights.view(*shape[:2], -1, shape[3], weights.shape[-1])
            hidden = forbidden[:, :, queries, :, keys]
            split.masked_fill_(hidden, float("-inf"))
            weights = weights.softmax(-1)
            nothing = hidden.all(-1, keepdim=True)
            if bool(nothing.any()):
                weights.view_as(split).masked_fill_(nothing, 0.0)
            out[:, rows] = torch.bmm(weights, v[:, keys])
            kept += [bent, weights]
        ctx.save_for_backward(q, k, v, out, *kept)
        ctx.shape, ctx.spans, ctx.cap = shape, spans, cap
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, *kept = ctx.saved_tensors
        to_q, to_k, to_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        mean = (grad * out).sum(-1, keepdim=True)  # of the weights' gradient, under the weights
        for i, (queries, keys) in enumerate(ctx.spans):
            rows, bent, weights = _rows(queries, ctx.shape), kept[2 * i], kept[2 * i + 1]
            of_block = grad[:, rows].contiguous()
            to_v[:, keys] += torch.bmm(weights.transpose(1, 2), of_block)
            to_logits = torch.bmm(of_block, v[:, keys].transpose(1, 2)).sub_(mean[:, rows]).mul_(weights)
            to_logits.addcmul_(to_logits * bent, bent, value=-1.0).mul_(ctx.cap)  # tanh' = 1 - tanh^2
            to_q[:, rows] = torch.bmm(to_logits, k[:, keys])
            to_k[:, keys] += torch.bmm(to_logits.transpose(1, 2), q[:, rows])
        return to_q, to_k, to_v, None, None, None, None


def _rows(queries: slice, shape: tuple[int, ...]) -> slice:
    return slice(queries.start * shape[3], queries.stop * shape[3])
