"""The names that latent attention has in folders (DeepSeek and its descendants)."""

from __future__ import annotations

from maskfork.core.spec import LatentSpec
from maskfork.models.weights import Fuse, Rule, rule


def latent_rules(latent: LatentSpec, block: str, ours: str) -> tuple[Rule, ...]:
    """The projections in `block` ("~layers.{i}.self_attn."), and ours ("decoder.layers.{i}.attention.")."""
    down, qkv = block + "kv_a_proj_with_mqa.*", ours + "qkv."
    if latent.query_rank is None:
        queries: tuple[Rule, ...] = (rule(block + "q_proj.weight", qkv + "q.weight"), rule(down, qkv + "down.*"))
    else:
        queries = (
            rule([block + "q_a_proj.*", down], qkv + "down.*", Fuse((latent.query_rank, latent.kv_rank + latent.rope))),
            rule(block + "q_a_layernorm.weight", qkv + "q_norm.weight"),
            rule(block + "q_b_proj.weight", qkv + "q.weight"),
        )
    return (
        *queries,
        rule(block + "kv_a_layernorm.weight", qkv + "kv_norm.weight"),
        rule(block + "kv_b_proj.weight", qkv + "kv.weight"),
        rule(block + "o_proj.*", ours + "out.*"),
    )
