"""For exporters: one call of torch's attention with an additive mask, and no question about values.

What a graph's own fusions look for: queries and keys multiplied, a mask added, softmax, values multiplied.
"""

from __future__ import annotations

import torch
from torch import Tensor

from maskfork.core.batch import Traced
from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal, spread
from maskfork.core.kernels.sdpa import attend
from maskfork.core.mask import Full


class Plain:
    """A query that may read nothing is padding: what it gives is read by nobody and is finite, not zeros as elsewhere."""

    name = "plain"

    def plan(self, ask: Ask) -> Plan | Refusal:
        if not isinstance(ask.queries, Traced):
            return Refusal(self.name, "the batch is not one that is traced")
        if ask.weights:
            return Refusal(self.name, "it does not give the attention weights")
        allowed = None if ask.bound == Full() else ask.allowed()

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            mask = None if allowed is None else torch.zeros((), dtype=q.dtype).masked_fill(~allowed, torch.finfo(q.dtype).min)
            if bias is not None:
                added = bias(q, spread(k, ask.heads), ask.places).to(q.dtype)
                mask = added if mask is None else mask + added
            k, v = spread(k, ask.heads), spread(v, ask.heads)
            if ask.softcap is None:
                out = attend(q, k, v, mask, ask.scale, 0.0, causal=False)
                return out.clone(memory_format=torch.contiguous_format), None  # as it lies, a graph could not flatten its heads
            logits = torch.tanh(torch.einsum("bqhd,bkhd->bhqk", q, k) * (ask.scale / ask.softcap)) * ask.softcap
            weights = (logits if mask is None else logits + mask).softmax(-1)
            return torch.einsum("bhqk,bkhd->bqhd", weights, v), None

        return Plan(self.name, "a mask that is added", run)
