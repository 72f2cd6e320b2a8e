"""Latent attention against attention over plain queries, keys and values that are computed head by head."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfork import Causal
from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.core.latent import NORM_EPS, Latent
from maskfork.core.positions.rotary import Rotary
from maskfork.core.spec import AttentionSpec, FeedForwardSpec, LatentSpec, ModelSpec, NormSpec, StackSpec
from maskfork.core.transformer import Transformer

HEADS, SIZE = 3, 10
NEAR = dict(atol=1e-5, rtol=1e-5)  # norms are computed in float32
LATENTS = {"narrow": LatentSpec(6, 5, 4, 2, 3), "straight": LatentSpec(None, 5, 4, 2, 7)}


def part(name: str, *, bias: bool) -> tuple[Latent, LatentSpec]:
    latent = LATENTS[name]
    spec = AttentionSpec(HEADS, latent.nope + latent.rope, HEADS, qkv_bias=bias, latent=latent)
    torch.manual_seed(0)
    made = Latent(spec, latent, SIZE).double()
    with torch.no_grad():
        for p in made.parameters():
            p.copy_(torch.randn_like(p))
    return made, latent


def rms(x: Tensor, weight: Tensor) -> Tensor:
    return x / (x.square().mean() + NORM_EPS).sqrt() * weight


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", list(LATENTS))
def test_equals_the_equations(name: str, bias: bool) -> None:
    """DeepSeek-V2, equations 9 to 13 and 37 to 47, one token and one head at a time."""
    made, latent = part(name, bias=bias)
    x = torch.randn(2, 4, SIZE, dtype=torch.float64)
    angle = torch.rand(4, dtype=torch.float64)

    def turn(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
        assert q.shape == (2, 4, HEADS, latent.rope)
        assert k.shape == (2, 4, 1, latent.rope)
        return tuple(y * angle[:, None, None] for y in (q, k))  # type: ignore[return-value]

    q, k, v = made(x, turn)
    assert (q.shape, k.shape) == ((2, 4, HEADS, latent.nope + latent.rope),) * 2
    assert v.shape == (2, 4, HEADS, latent.value)
    rank = latent.query_rank or 0
    for b in range(2):
        for s in range(4):
            low = made.down.weight @ x[b, s] + (made.down.bias if bias else 0.0)
            to_q, to_kv, rope = low[:rank], low[rank : rank + latent.kv_rank], low[rank + latent.kv_rank :]
            entered = rms(to_q, made.q_norm.weight) if rank else x[b, s]  # type: ignore[arg-type]
            lifted = made.kv.weight @ rms(to_kv, made.kv_norm.weight)
            for h in range(HEADS):
                rows = slice(h * (latent.nope + latent.rope), (h + 1) * (latent.nope + latent.rope))
                query = made.q.weight[rows] @ entered
                query[latent.nope :] *= angle[s]
                torch.testing.assert_close(q[b, s, h], query, **NEAR)
                mine = lifted[h * (latent.nope + latent.value) : (h + 1) * (latent.nope + latent.value)]
                torch.testing.assert_close(k[b, s, h], torch.cat([mine[: latent.nope], rope * angle[s]]), **NEAR)
                torch.testing.assert_close(v[b, s, h], mine[latent.nope :], **NEAR)


def body() -> Transformer:
    latent = LATENTS["narrow"]
    stack = StackSpec(
        depth=2, hidden_size=SIZE, masks=(Causal(),) * 2,
        attention=AttentionSpec(HEADS, 6, HEADS, qkv_bias=False, out_bias=False, latent=latent),
        feed_forward=FeedForwardSpec(8), norm=NormSpec("rms", 1e-6), norm_at=("in",), final_norm=True,
        positions=(Rotary(size=2, interleaved=True),),
    )  # fmt: skip
    torch.manual_seed(1)
    return Transformer(ModelSpec("test", 20, decoder=stack)).eval()


@torch.no_grad()
def test_places_packing_and_the_cache() -> None:
    model, ids = body(), torch.randint(0, 20, (2, 6))
    whole = model(Batch.padded(ids)).last_hidden_state
    packed = Batch.packed([ids[0, :4].tolist(), ids[1].tolist()])
    torch.testing.assert_close(packed.unpack(model(packed).last_hidden_state)[1], whole[1])
    torch.testing.assert_close(packed.unpack(model(packed).last_hidden_state)[0, :4], whole[0, :4])
    cache, steps = Cache(), []
    for part_of in ids.split([3, 1, 2], dim=1):
        steps.append(model(Batch.padded(part_of), cache=cache).last_hidden_state)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole)
    moved = model(Batch.padded(ids.roll(1, 1))).last_hidden_state
    assert not torch.allclose(moved, whole.roll(1, 1))
