"""Position schemes that look at the length of the text: reading with a cache equals reading at once, whatever the length."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.core.positions.learned import Learned
from maskfork.core.positions.rotary import Dynamic, LongRope, Rotary, Scaling
from maskfork.core.spec import AttentionSpec, FeedForwardSpec, ModelSpec, NormSpec, StackSpec, causal
from maskfork.core.transformer import Transformer
from maskfork.errors import ModelError

NEAR = dict(atol=1e-5, rtol=1e-5)
SCALINGS = (Dynamic(3.0, 5), LongRope((1.0, 1.5, 2.0), (2.0, 5.0, 9.0), 5))


@pytest.fixture(params=SCALINGS, ids=lambda s: type(s).__name__)
def body(request: pytest.FixtureRequest) -> Transformer:
    return decoder(request.param)


def decoder(scaling: Scaling) -> Transformer:
    """Three layers, so that what an earlier token was is mixed into what is cached; places end at 12."""
    stack = StackSpec(
        depth=3, hidden_size=24, masks=causal(3), attention=AttentionSpec(4, 6, 2), feed_forward=FeedForwardSpec(20),
        norm=NormSpec("rms", 1e-6), norm_at=("in",), positions=(Rotary(50.0, scaling=scaling), Learned(12)),
    )  # fmt: skip
    torch.manual_seed(0)
    model = Transformer(ModelSpec("", 50, decoder=stack))
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    return model.eval()


def ids(rows: int, length: int) -> Tensor:
    return torch.randint(0, 50, (rows, length), generator=torch.Generator().manual_seed(1))


@torch.no_grad()
@pytest.mark.parametrize("sizes", [[1] * 10, [3, 4, 1, 2], [5, 1, 4], [6, 2, 2]], ids=str)
@pytest.mark.parametrize("side", ["none", "left", "right"])
def test_each_step_equals_the_whole(body: Transformer, sizes: list[int], side: str) -> None:
    tokens, keep = ids(3, 10), torch.ones(3, 10, dtype=torch.long)
    for row, n in enumerate((0, 4, 7)):
        if side != "none":
            keep[row, slice(0, n) if side == "left" else slice(10 - n, 10)] = 0
    cache, read = Cache(), 0
    for size in sizes:
        part = slice(read, read + size)
        step = body(Batch.padded(tokens[:, part], keep[:, part]), cache=cache, want_weights=True)
        read += size
        whole = body(Batch.padded(tokens[:, :read], keep[:, :read]), want_weights=True)
        there = keep[:, part, None]
        torch.testing.assert_close(step.last_hidden_state * there, whole.last_hidden_state[:, -size:] * there, **NEAR)
        for mine, all_ in zip(step.attentions or (), whole.attentions or (), strict=True):
            torch.testing.assert_close(mine * there[:, None], all_[:, :, -size:] * there[:, None], **NEAR)
        assert cache.length == read


@torch.no_grad()
def test_angles_follow_the_longest(body: Transformer) -> None:
    """Padded and packed alike, one long sequence sets the angles of its whole batch; alone, a short one has its own."""
    long, short = ids(2, 9)[0].tolist(), ids(2, 9)[1, :4].tolist()
    packed = Batch.packed([long, short], multiple=8)
    rows = packed.unpack(body(packed).last_hidden_state)
    padded = Batch.from_lists([long, short], 0)
    torch.testing.assert_close(rows, padded.unpack(body(padded).last_hidden_state), **NEAR)
    alone = body(Batch.packed([short])).last_hidden_state[0]
    assert (alone - rows[1, :4]).abs().max() > 1e-2
    filled = Batch.padded(torch.tensor([[*short, 7, 7, 7]]), torch.tensor([[1] * 4 + [0] * 3]))  # padding is no length
    torch.testing.assert_close(body(filled).last_hidden_state[0, :4], alone, **NEAR)


@torch.no_grad()
def test_a_copied_and_a_failed_cache(body: Transformer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy knows its era, and a step that fails while all is read again leaves the cache as it was."""
    tokens = ids(2, 9)
    cache = Cache()
    body(Batch.padded(tokens[:, :5]), cache=cache)
    many = cache.repeat(2)
    with pytest.raises(ModelError, match="14 tokens"):
        body(Batch.padded(ids(2, 9)), cache=cache)
    assert body.decoder is not None
    with monkeypatch.context() as patch:
        patch.setattr(body.decoder.layers[2], "forward", None)
        with pytest.raises(TypeError):
            body(Batch.padded(tokens[:, 5:]), cache=cache)
    assert cache.length == 5
    whole = body(Batch.padded(tokens)).last_hidden_state[:, 5:]
    torch.testing.assert_close(body(Batch.padded(tokens[:, 5:]), cache=cache).last_hidden_state, whole, **NEAR)
    more = tokens[:, 5:].repeat_interleave(2, 0)
    again = body(Batch.padded(more), cache=many).last_hidden_state
    torch.testing.assert_close(again, whole.repeat_interleave(2, 0), **NEAR)
    assert many.repeat(1).era == many.era != Cache().era
