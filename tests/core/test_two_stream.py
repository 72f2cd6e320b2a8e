"""Both streams of XLNet against `transformers`: states, logits, attention weights, every gradient; left-padded and packed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.core.two_stream import two_streams
from maskfork.errors import ModelError, UsageError
from maskfork.models.heads import Read
from maskfork.models.hub import build, their_tensors

NEAR = dict(atol=1e-4, rtol=1e-4)
ROWS, WIDTH = 3, 9
TINY = dict(vocab_size=99, d_model=32, n_layer=2, n_head=4, d_inner=37, pad_token_id=0)
TARGETS = torch.tensor([[4, 8, 6], [7, 3, 5], [8, 0, 2]])  # storage indices
ORDERS = torch.tensor([[3, 1, 0, 7, 4, 2, 8, 6, 5], [9, 9, 9, 2, 0, 5, 3, 4, 1], [1, 0, 6, 5, 8, 3, 2, 4, 7]])
KEEP = torch.tensor([[1] * 9, [0] * 3 + [1] * 6, [1] * 9])


def theirs_and_ours(folder: Path, **more: Any) -> tuple[Any, Any]:
    torch.manual_seed(0)
    model: Any = transformers.XLNetLMHeadModel(transformers.XLNetConfig(**{**TINY, **more})).eval()
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.randn_like(p) * 0.2)
    model.save_pretrained(folder)
    return model, load(folder)


@pytest.mark.parametrize("more", [{}, {"clamp_len": 3, "n_head": 8}, {"d_model": 24, "n_head": 3, "n_layer": 3}])
def test_as_theirs(more: dict[str, Any], tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours(tmp_path, **more)
    g = torch.Generator().manual_seed(1)
    ids, types = torch.randint(5, 95, (ROWS, WIDTH), generator=g), torch.randint(0, 2, (ROWS, WIDTH), generator=g)
    perm_mask = ~(ORDERS[:, None, :] < ORDERS[:, :, None])
    mapping = torch.zeros(*TARGETS.shape, WIDTH).scatter_(2, TARGETS[..., None], 1.0)
    out = theirs(
        ids, attention_mask=KEEP, token_type_ids=types, perm_mask=perm_mask.float(), target_mapping=mapping,
        output_hidden_states=True, output_attentions=True,
    )  # fmt: skip
    content, query = out.hidden_states[-2] * KEEP[..., None], out.hidden_states[-1]

    batch = Batch.padded(ids, KEEP, types)
    order = ORDERS.clone()
    order[1, :6] = ORDERS[1, 3:]  # places are counted from the first kept token
    found = two_streams(ours.body.encoder, batch, order, TARGETS, want_weights=True)
    torch.testing.assert_close(found.content * KEEP[..., None], content, **NEAR)
    torch.testing.assert_close(found.query, query, **NEAR)
    assert found.content_weights is not None
    assert found.query_weights is not None
    for mine, asked, their in zip(found.content_weights, found.query_weights, out.attentions, strict=True):
        torch.testing.assert_close(mine * KEEP[:, None, :, None], their[0] * KEEP[:, None, :, None], **NEAR)
        at = TARGETS[:, None, :, None].expand_as(asked)
        torch.testing.assert_close(asked, their[1].gather(2, at), **NEAR)

    weigh_c, weigh_l = torch.randn(content.shape, generator=g), torch.randn(out.logits.shape, generator=g)
    ((content * weigh_c).sum() + (out.logits * weigh_l).sum()).backward()
    found = two_streams(ours.body.encoder, batch, order, TARGETS)
    logits = ours.head(found.query, Read(batch, ours.body.tokens.weight))["logits"]
    torch.testing.assert_close(logits, out.logits, **NEAR)
    ((found.content * KEEP[..., None] * weigh_c).sum() + (logits * weigh_l).sum()).backward()
    grads = their_tensors(ours, {n.removeprefix("body."): p.grad for n, p in ours.named_parameters()})
    for name, p in theirs.named_parameters():
        torch.testing.assert_close(grads[name], p.grad, **NEAR, msg=lambda m, name=name: f"{name}: {m}")

    starts = torch.tensor([0, 9 - 3, 15])  # the second text lost its padding of three
    packed = two_streams(ours.body.encoder, batch.pack(), order, (TARGETS + starts[:, None]).reshape(1, -1))
    torch.testing.assert_close(packed.query.view_as(query), query, **NEAR)


def test_nothing_before_it_reads_nothing(tmp_path: Path) -> None:
    """The first of an order: zeros from the attention, so the same for every text."""
    _, ours = theirs_and_ours(tmp_path)
    first = [
        two_streams(ours.body.encoder, Batch.padded(torch.tensor([ids])), torch.tensor([1, 0, 2]), torch.tensor([[1]])).query
        for ids in ([5, 6, 7], [8, 9, 10])
    ]
    torch.testing.assert_close(*first, atol=0, rtol=0)


def test_wrong_questions(tmp_path: Path) -> None:
    _, ours = theirs_and_ours(tmp_path)
    batch = Batch.padded(torch.tensor([[5, 6, 7]]))
    with pytest.raises(UsageError, match="targets must be"):
        two_streams(ours.body.encoder, batch, torch.arange(3), torch.tensor([1]))
    bert = build(
        dict(model_type="bert", vocab_size=9, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(ModelError, match="not trained with two streams"):
        two_streams(bert.body.encoder, batch, torch.arange(3), torch.tensor([[1]]))  # type: ignore[arg-type]
