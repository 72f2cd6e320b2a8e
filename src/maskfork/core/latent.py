"""Multi-head latent attention (DeepSeek-V2, section 2.1): queries, keys and values come out of narrow layers.

    x ─ down ─┬─ query_rank ─ norm ─ q_up ──> H x (nope | rope)                     q = nope | turned rope
              ├─ kv_rank ─ norm ─ kv_up ────> H x (nope | value)                    k = nope | turned rope, one for all heads
              └─ rope ──────────────────────> 1 x rope                              v = value

Legend: B batch, S sequence, H heads, D = nope + rope, E hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from maskfork.core.linear import Linear
from maskfork.core.parts import RMSNorm
from maskfork.core.spec import AttentionSpec, LatentSpec

NORM_EPS = 1e-6  # of the narrow layers' norms, whatever the model's own is: so DeepSeek's code has it


class Latent(nn.Module):
    """The projections of such an attention; `down` [query_rank + kv_rank + rope, E] is one multiplication for all three.

    Without a query rank, queries come from `q` [H * D, E] and `down` is the keys' and values' alone.
    """

    def __init__(self, spec: AttentionSpec, latent: LatentSpec, hidden_size: int) -> None:
        super().__init__()
        self.spec, heads = latent, spec.num_heads
        straight = latent.query_rank is None
        self.ranks = [latent.query_rank or 0, latent.kv_rank, latent.rope]
        self.down = Linear(hidden_size, sum(self.ranks), bias=spec.qkv_bias is True)
        self.q = Linear(latent.query_rank or hidden_size, heads * (latent.nope + latent.rope), bias=False)
        self.q_norm = nn.Identity() if straight else RMSNorm(self.ranks[0], NORM_EPS)
        self.kv_norm = RMSNorm(latent.kv_rank, NORM_EPS)
        self.kv = Linear(latent.kv_rank, heads * (latent.nope + latent.value), bias=False)

    def forward(self, x_BSE: Tensor, turn: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        """q and k [B, S, H, D], v [B, S, H, value]. `turn` gives queries and keys their place; it gets their `rope` parts."""
        nope, rope, value = self.spec.nope, self.spec.rope, self.spec.value
        narrow_q, narrow_kv, k_rope = self.down(x_BSE).split(self.ranks, dim=-1)
        q = self.q(self.q_norm(narrow_q) if self.ranks[0] else x_BSE).unflatten(-1, (-1, nope + rope))
        k_nope, v = self.kv(self.kv_norm(narrow_kv)).unflatten(-1, (-1, nope + value)).split([nope, value], dim=-1)
        q_nope, q_rope = q.split([nope, rope], dim=-1)
        q_rope, k_rope = turn(q_rope, k_rope[:, :, None])
        k_rope = k_rope.expand(-1, -1, k_nope.shape[2], -1)
        return torch.cat([q_nope, q_rope], dim=-1), torch.cat([k_nope, k_rope], dim=-1), v
