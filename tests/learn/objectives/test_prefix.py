"""Prefix LM: splits anywhere alike, no loss inside the prefix, and by perturbation what sees what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from maskfork.core.batch import Batch
from maskfork.core.mask import PrefixIn
from maskfork.errors import UsageError
from maskfork.learn.objectives.clm import CausalLM, clm
from maskfork.learn.objectives.contract import IGNORE_INDEX
from maskfork.learn.objectives.prefix import PrefixLM
from maskfork.models.hub import build

TINY = dict(model_type="gpt2", vocab_size=100, n_embd=32, n_layer=2, n_head=4, n_positions=64)


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(5, 100, n).tolist() for n in lengths]


def test_splits_over_a_million_tokens() -> None:
    """Each of the 63 splits of 64 tokens is equally likely; what is asked is what follows."""
    batch = Batch.packed(texts(*[64] * 16_000))
    sample = PrefixLM()(batch, np.random.default_rng(0))
    assert isinstance(sample.mask, PrefixIn)
    assert isinstance(sample.targets, torch.Tensor)
    prefix = sample.mask.lengths.numpy()
    assert stats.chisquare(np.bincount(prefix, minlength=64)[1:]).pvalue > 1e-3
    asked = (sample.targets != IGNORE_INDEX).view(-1, 64)
    assert torch.equal(asked.sum(1), 64 - sample.mask.lengths)
    assert torch.equal(sample.targets[sample.targets != IGNORE_INDEX], batch.tokens.view(-1, 64)[:, 1:][asked[:, :-1]])


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_what_sees_what(layout: str) -> None:
    """A later token of the prefix moves the states of the prefix; one that is asked for moves none at or before its question."""
    lists = texts(12, 1, 9, 20)
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    model, objective = build(TINY, "causal_lm"), PrefixLM()
    objective.check(model)
    sample = objective(batch, np.random.default_rng(3))
    assert isinstance(sample.mask, PrefixIn)
    assert isinstance(sample.targets, torch.Tensor)

    def states(tokens: torch.Tensor) -> torch.Tensor:
        changed = Batch(tokens, batch.positions, batch.keep, None, batch.segments)
        with torch.no_grad():
            found: torch.Tensor = model(changed, mask=sample.mask).last_hidden_state
        return found

    before = states(batch.tokens)
    for (row, start, n), prefix in zip(batch.sequences, sample.mask.lengths.tolist(), strict=True):
        for place in range(n):
            tokens = batch.tokens.clone()
            tokens[row, start + place] = 1
            moved = (states(tokens) - before).abs().amax(-1)[row, start : start + n] > 1e-6
            first = 0 if place < prefix else place
            assert moved.tolist() == [i >= first for i in range(n)]
        asked = sample.targets[row, start : start + n] != IGNORE_INDEX
        assert asked.tolist() == [prefix - 1 <= i < n - 1 for i in range(n)]


def test_a_fixed_share_and_none() -> None:
    batch = Batch.from_lists(texts(10, 5), 0)
    half = PrefixLM(0.5)(batch, np.random.default_rng(0))
    assert half.mask.lengths.tolist() == [5, 2]  # type: ignore[union-attr]
    none = PrefixLM(0.0)(batch, np.random.default_rng(0))
    assert torch.equal(none.targets, clm(batch))  # type: ignore[arg-type]
    model = build(TINY, "causal_lm")
    with torch.no_grad():
        mine, theirs = (
            PrefixLM(0.0).loss(model, none).total,
            CausalLM().loss(model, CausalLM()(batch, np.random.default_rng(0))).total,
        )
    torch.testing.assert_close(mine, theirs)


def test_the_loss_is_that_of_what_is_asked() -> None:
    model, objective = build(TINY, "causal_lm"), PrefixLM()
    sample = objective(Batch.packed(texts(30, 8)), np.random.default_rng(1))
    with torch.no_grad():
        loss = objective.loss(model, sample).total
        logits = model(sample.batch, mask=sample.mask).logits
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits.flatten(0, 1), sample.targets.flatten()))  # type: ignore[union-attr]


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match="a share of the text from 0 to below 1, not 1"):
        PrefixLM(1.0)
    bert = build(dict(model_type="bert", vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=8), "masked_lm")  # fmt: skip
    with pytest.raises(UsageError, match="prefix-lm is for a decoder, and bert is an encoder"):
        PrefixLM().check(bert)
    rows = Batch(torch.ones(2, 3, dtype=torch.long), torch.arange(3)[None], segments=torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(UsageError, match="pack texts into one row"):
        PrefixLM()(rows, np.random.default_rng(0))
