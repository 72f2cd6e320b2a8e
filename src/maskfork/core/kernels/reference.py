"""The definition: every step written out. Other kernels are tested against it; it also gives the weights."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal, spread


class Reference:
    """softmax(scale * q.k + bias, over what is allowed) . v; a query that may read nothing gives zeros."""

    name = "reference"

    def plan(self, ask: Ask) -> Plan | Refusal:
        allowed = ask.allowed()

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            weights = attention_weights(ask, q, spread(k, ask.heads), allowed, bias)
            if ask.dropout:
                weights = F.dropout(weights, ask.dropout)
            out = torch.einsum("bhqk,bkhd->bqhd", weights, spread(v, ask.heads))
            return out, weights if ask.weights else None

        return Plan(self.name, "every step written out", run)


def attention_weights(ask: Ask, q_BQHD: Tensor, k_BKHD: Tensor, allowed: Tensor, bias: Bias | None) -> Tensor:
    """[B, H, Q, K], each row a distribution over what is allowed, or zeros. The softmax runs in float32."""
    logits = torch.einsum("bqhd,bkhd->bhqk", q_BQHD, k_BKHD) * ask.scale
    if bias is not None:
        logits = logits + bias(q_BQHD, k_BKHD, ask.places)
    if ask.softcap is not None:
        logits = ask.softcap * torch.tanh(logits / ask.softcap)
    logits = logits.masked_fill(~allowed, float("-inf"))
    empty = ~allowed.any(-1, keepdim=True)
    logits = logits.masked_fill(empty, 0.0)
    return logits.softmax(-1, dtype=torch.float32).to(q_BQHD.dtype).masked_fill(empty, 0.0)
