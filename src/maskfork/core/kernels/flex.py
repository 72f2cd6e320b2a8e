"""torch's flex_attention: the rule's own predicate inside a compiled kernel, nothing dense kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal, spread


class Flex:
    """Compiled on a GPU; on a CPU torch runs it uncompiled, which is exact and slow, so it must be asked for by name."""

    name = "flex"

    def plan(self, ask: Ask) -> Plan | Refusal:
        if ask.weights:
            return Refusal(self.name, "it does not give the attention weights")
        if ask.dropout:
            return Refusal(self.name, "it has no dropout")
        if ask.grad and ask.device.type == "cpu":
            return Refusal(self.name, "on a CPU torch gives it no gradients, so it needs torch.no_grad()")
        rows, queries, keys = ask.sizes
        rule, offset, softcap = ask.bound, ask.offset, ask.softcap

        def mask_mod(b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor:
            may: Tensor = rule.allow(b, h, q + offset, k)
            return may

        allowed = ask.allowed()
        apart = ask.heads if allowed.shape[1] > 1 else None  # None: every head has the same rule
        blocks = create_block_mask(mask_mod, rows, apart, queries, keys, device=str(ask.device))
        empty = ~allowed.any(-1).transpose(1, 2)[..., None]

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            k, v = spread(k, ask.heads), spread(v, ask.heads)
            added = None if bias is None else bias(q, k, ask.places).expand(rows, -1, -1, -1)

            def score_mod(score: Tensor, b: Tensor, h: Tensor, q_at: Tensor, k_at: Tensor) -> Tensor:
                if added is not None:
                    score = score + added[b, h, q_at, k_at]
                return score if softcap is None else softcap * torch.tanh(score / softcap)

            out: Any = _kernel(ask.device)(
                q.transpose(1, 2),
                k.transpose(1, 2),
                v.transpose(1, 2),
                score_mod=score_mod,
                block_mask=blocks,
                scale=ask.scale,
            )
            return out.transpose(1, 2).masked_fill(empty, 0.0), None

        return Plan(self.name, f"{max(0.0, float(blocks.sparsity())):.0f} % of its blocks skipped", run)


_compiled: Any = None


def _kernel(device: torch.device) -> Any:
    global _compiled
    if device.type == "cpu":
        return flex_attention
    if _compiled is None:
        _compiled = torch.compile(flex_attention, dynamic=True)
    return _compiled
