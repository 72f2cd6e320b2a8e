"""BigBird's blocks: as drawn, as the reference gathers them (by chance in training), and counted to a text's own end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from maskfork import Full, load
from maskfork.core.batch import Batch, bind
from maskfork.core.mask_blocks import Blocks
from maskfork.errors import UsageError
from maskfork.models.hub import their_tensors

NEAR = dict(atol=1e-4, rtol=1e-4)


def test_drawn() -> None:
    ends, rule = [1] + [0] * 6 + [1], Blocks(1, 1)
    drawn = rule.matrix(8)[0, 0].int().tolist()
    assert drawn[0] == drawn[-1] == [1] * 8
    assert drawn[1] == [1, 1, 1, 0, 0, 0, 0, 1]
    assert drawn[4] == [a | b for a, b in zip(ends, [0, 0, 0, 1, 1, 1, 0, 0], strict=True)]
    assert bool(rule.matrix(7).all())  # no more than 5 + 2 blocks: all
    assert bool((rule | Full()).matrix(8).all())
    assert rule.counts(torch.tensor([8]))[0, 0, :, 0].tolist() == [1] + [2] * 6 + [1]
    with pytest.raises(UsageError, match="depends on how long the sequence is"):
        rule.allow(0, 0, 0, 0)
    with pytest.raises(UsageError, match="a size of one or more"):
        Blocks(0)


@pytest.mark.parametrize("layout", ["right", "left", "packed"])
def test_every_text_by_its_own_length(layout: str) -> None:
    rule, lengths = Blocks(2, 1) & Full(), (19, 9, 16)
    keep = torch.zeros(3, 20, dtype=torch.long)
    for row, n in enumerate(lengths):
        keep[row, slice(0, n) if layout != "left" else slice(20 - n, 20)] = 1
    batch = Batch.padded(torch.zeros_like(keep), keep)
    batch = batch.pack() if layout == "packed" else batch
    rows, width = batch.shape
    drawn = bind(rule, batch, batch).matrix(width, rows=rows)[:, 0]
    for i, (row, start, n) in enumerate(batch.sequences):
        own = slice(start, start + n)
        assert bool((drawn[row, own, own] == rule.matrix(lengths[i])[0, 0]).all())
        assert int(drawn[row, own].sum()) == int(rule.matrix(n).sum())


def pair(folder: Path, **more: Any) -> tuple[Any, Any]:
    config = dict(
        vocab_size=40, hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=9, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, max_position_embeddings=4096, block_size=4, num_random_blocks=2,
    ) | more  # fmt: skip
    torch.manual_seed(0)
    theirs: Any = transformers.BigBirdModel(transformers.BigBirdConfig(**config), add_pooling_layer=False)
    with torch.no_grad():
        for p in theirs.parameters():
            p.copy_(torch.randn_like(p) * 0.3)
    theirs.save_pretrained(folder)
    return theirs, load(folder)


CASES = [
    (41, {}),
    (75, {"num_random_blocks": 3}),
    (1024, {"block_size": 64, "num_random_blocks": 3}),  # the paper's own plans
    (1000, {"block_size": 64, "num_random_blocks": 3, "max_position_embeddings": 1024}),
    pytest.param(3072, {"block_size": 64, "num_random_blocks": 3}, marks=pytest.mark.slow),
    pytest.param(4096, {"block_size": 64, "num_random_blocks": 3}, marks=pytest.mark.slow),
    pytest.param(2000, {"block_size": 64, "num_random_blocks": 3}, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("length", "more"), CASES)
def test_as_theirs(length: int, more: dict[str, Any], training: bool, tmp_path: Path) -> None:
    """Chance draws the same blocks in training, for each layer and head; the same gradients flow."""
    theirs, ours = pair(tmp_path, **more)
    ids = torch.randint(5, 40, (1, length), generator=torch.Generator().manual_seed(1))
    wanted = theirs.train(training)(ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    found = ours.train(training)(ids).last_hidden_state
    torch.testing.assert_close(found, wanted, **NEAR)
    weigh = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(2))
    (wanted * weigh).sum().backward()
    (found * weigh).sum().backward()
    grads = their_tensors(ours, {n.removeprefix("body."): p.grad for n, p in ours.named_parameters()})
    for name, p in theirs.named_parameters():
        torch.testing.assert_close(grads[name], p.grad, atol=1e-3, rtol=1e-3, msg=lambda m, name=name: f"{name}: {m}")


@torch.no_grad()
def test_attention_weights(tmp_path: Path) -> None:
    """Theirs writes a block that was gathered several times over itself: one of the copies is left."""
    theirs, ours = pair(tmp_path)
    ids = torch.randint(5, 40, (1, 44), generator=torch.Generator().manual_seed(1))
    wanted = theirs.eval()(ids, attention_mask=torch.ones_like(ids), output_attentions=True).attentions
    found = ours(ids, output_attentions=True).attentions
    for mine, their in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine.sum(-1), torch.ones(1, 2, 44))
        whole = their.clone()
        whole[:, :, 4:-4, :4] *= 3
        torch.testing.assert_close(mine, whole, **NEAR)


@torch.no_grad()
def test_neighbours_change_nothing(tmp_path: Path) -> None:
    _, ours = pair(tmp_path)
    texts = [[5 + i * 7 % 30 for i in range(n)] for n in (75, 41, 30)]
    for batch in (Batch.from_lists(texts, 0), Batch.packed(texts)):
        rows = batch.unpack(ours(batch).last_hidden_state)
        for text, row in zip(texts, rows, strict=True):
            alone = ours(torch.tensor([text])).last_hidden_state[0]
            torch.testing.assert_close(row[: len(text)], alone, **NEAR)
