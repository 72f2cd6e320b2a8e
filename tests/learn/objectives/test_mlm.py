"""Masked language modelling: its shares over a million tokens, whole words, spans, and that nothing of the answer is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX
from maskfork.learn.objectives.mlm import MaskedLM, Units
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build

WORDS = Vocabulary(8000, frozenset(range(5)), mask=4, pad=0, cls=2, sep=3)
TINY = dict(
    model_type="bert", vocab_size=8000, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=37,
    max_position_embeddings=64,
)  # fmt: skip


def texts(count: int, length: int = 126, seed: int = 0) -> Batch:
    """Packed texts [CLS] ... [SEP] with words of one to a few tokens."""
    rng = np.random.default_rng(seed)
    ids = [[2, *rng.integers(5, 8000, length).tolist(), 3] for _ in range(count)]
    words = [-1 if i in (0, length + 1) else i // 2 for _ in range(count) for i in range(length + 2)]
    return replace(Batch.packed(ids), words=torch.tensor([words]))


@pytest.mark.parametrize("units", ["token", "word", "span"])
def test_shares_over_a_million_tokens(units: Units) -> None:
    """15 %, and 80/10/10 of them; tolerances are four standard errors of a binomial (spans: of a span's share of one fate)."""
    batch = texts(8000)
    assert batch.tokens.numel() > 1e6
    out, targets, mask = MaskedLM(WORDS, units=units)(batch, np.random.default_rng(1))
    assert isinstance(out, Batch)
    assert isinstance(targets, torch.Tensor)
    assert mask is None
    chosen = targets != IGNORE_INDEX
    count, ordinary = int(chosen.sum()), int((batch.tokens >= 5).sum())
    assert abs(count / ordinary - 0.15) < 0.002
    assert torch.equal(targets[chosen], batch.tokens[chosen])
    assert not bool((batch.tokens[chosen] < 5).any()), "a special token was chosen"
    hidden = (out.tokens == 4) & chosen
    kept = (out.tokens == batch.tokens) & chosen
    swapped = chosen & ~hidden & ~kept
    wide = 0.02 if units == "span" else 0.004
    assert abs(int(hidden.sum()) / count - 0.8) < wide
    assert abs(int(kept.sum()) / count - 0.1) < wide
    assert abs(int(swapped.sum()) / count - 0.1) < wide
    assert not bool((out.tokens[swapped] < 5).any()), "a special token was put in"
    assert torch.equal(out.tokens[~chosen], batch.tokens[~chosen])
    per_text = torch.zeros(8000).index_add(0, batch.segments.flatten(), chosen.flatten().float())  # type: ignore[union-attr]
    assert int(per_text.min()) >= 1


def test_words_are_chosen_whole() -> None:
    batch = texts(200)
    chosen = MaskedLM(WORDS, units="word")(batch, np.random.default_rng(0)).targets != IGNORE_INDEX
    assert batch.words is not None
    assert batch.segments is not None
    key = batch.segments * 1000 + batch.words
    for word in torch.unique(key[chosen]).tolist():
        assert bool(chosen[key == word].all())


def test_spans_have_geometric_lengths() -> None:
    """SpanBERT's: geometric(0.2) clipped at 10: a mean of 4.46 words; neighbouring spans join, so it is a little more."""
    chosen = MaskedLM(WORDS, units="span")(texts(8000), np.random.default_rng(0)).targets != IGNORE_INDEX
    runs = np.diff(np.flatnonzero(np.diff(np.r_[0, chosen.flatten().numpy().astype(int), 0])))[::2]
    mean = runs.mean() / 2  # words of two tokens
    assert 4.0 < mean < 5.6
    single = MaskedLM(WORDS)(texts(8000), np.random.default_rng(0)).targets != IGNORE_INDEX
    lone = np.diff(np.flatnonzero(np.diff(np.r_[0, single.flatten().numpy().astype(int), 0])))[::2]
    assert abs(lone.mean() - 1 / 0.85) < 0.02


def test_static_masking_is_the_same_in_every_epoch_and_order() -> None:
    objective = MaskedLM(WORDS, static=7)
    one, two = texts(3, seed=1), texts(3, seed=1)
    first, second = (objective(b, np.random.default_rng(seed)) for b, seed in ((one, 1), (two, 2)))
    assert torch.equal(first.targets, second.targets)  # type: ignore[arg-type]
    alone = one.tokens[:, 128:256]
    again = objective(Batch.padded(alone), np.random.default_rng(9))
    assert torch.equal(again.targets, first.targets[:, 128:256])  # type: ignore[index]
    other = MaskedLM(WORDS, static=8)(one, np.random.default_rng(1))
    assert not torch.equal(other.targets, first.targets)  # type: ignore[arg-type]


def test_padding_short_texts_and_texts_of_special_tokens_only() -> None:
    ids = torch.tensor([[2, 50, 3, 0, 0], [2, 3, 0, 0, 0], [2, 60, 70, 80, 3]])
    batch = Batch.padded(ids, (ids > 0).long())
    for seed in range(50):
        targets = MaskedLM(WORDS)(batch, np.random.default_rng(seed)).targets
        assert isinstance(targets, torch.Tensor)
        assert (targets != IGNORE_INDEX).sum(1).tolist()[1] == 0
        assert targets[0, 1] == 50
        assert (targets[2] != IGNORE_INDEX).sum() >= 1
    assert torch.equal(batch.tokens, ids)


def test_same_seed_same_sample() -> None:
    a, b = (MaskedLM(WORDS)(texts(5), np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(a.batch.tokens, b.batch.tokens)  # type: ignore[union-attr]


def test_a_hidden_token_is_not_seen() -> None:
    """Changing what stands under a mask moves no state: the answer is nowhere in what the model reads."""
    model = build(TINY, "masked_lm")
    batch = Batch.padded(torch.randint(5, 8000, (1, 20), generator=torch.Generator().manual_seed(0)))
    objective = MaskedLM(WORDS, masked=1.0, random=0.0)
    sample = objective(batch, np.random.default_rng(0))
    chosen = sample.targets != IGNORE_INDEX
    other = replace(batch, tokens=torch.where(chosen, (batch.tokens + 100) % 7000 + 5, batch.tokens))
    again = objective(other, np.random.default_rng(0))
    with torch.no_grad():
        assert torch.equal(model(sample.batch).logits, model(again.batch).logits)


def test_the_loss_is_that_of_the_chosen_places() -> None:
    model = build(TINY, "masked_lm")
    objective = MaskedLM(WORDS)
    objective.check(model)
    sample = objective(texts(4, 40), np.random.default_rng(0))
    with torch.no_grad():
        loss = objective.loss(model, sample).total
        logits = model(sample.batch).logits.flatten(0, 1)
    exact = torch.nn.functional.cross_entropy(logits, sample.targets.flatten())  # type: ignore[union-attr]
    torch.testing.assert_close(loss, exact)


def test_wrong_questions() -> None:
    with pytest.raises(TokenizerError, match="needs a mask token"):
        MaskedLM(Vocabulary(10, frozenset()))
    with pytest.raises(UsageError, match="share between 0 and 1"):
        MaskedLM(WORDS, rate=15)
    with pytest.raises(UsageError, match="needs to know the words"):
        MaskedLM(WORDS, units="word")(Batch.packed([[5, 6]]), np.random.default_rng(0))
    gpt = build(dict(model_type="gpt2", vocab_size=20, n_embd=8, n_layer=1, n_head=2, n_positions=16), "causal_lm")
    with pytest.raises(UsageError, match=r"mlm is for an encoder, and gpt2 is a decoder: use clm"):
        MaskedLM(WORDS).check(gpt)
