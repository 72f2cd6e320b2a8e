"""Replaced-token detection: sampling, labels, the two losses, shared tables, what each of the two models may know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from maskfork.core.batch import Batch
from maskfork.errors import ModelError, UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Seeded
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.rtd import ReplacedTokenModel, ReplacedTokens, sampled
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build

WORDS = Vocabulary(99, frozenset(range(5)), mask=4, pad=0, cls=2, sep=3)
TINY = dict(
    model_type="electra", vocab_size=99, embedding_size=16, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
    intermediate_size=64, max_position_embeddings=64, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[2, *rng.integers(5, 99, n).tolist(), 3] for n in lengths]


def both(seed: int = 0) -> ReplacedTokenModel:
    return ReplacedTokens(WORDS, seed=seed + 1).trained(build(TINY, "detect", seed=seed))


def test_sampling_over_a_million_draws() -> None:
    """As likely as the softmax says, the same from the same seed, another from another."""
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0, 0.5])
    rows = logits.expand(1_000_000, 5)
    drawn = sampled(rows, 3)
    awaited = logits.softmax(-1).double().numpy() * len(drawn)
    assert stats.chisquare(np.bincount(drawn.numpy(), minlength=5), awaited * len(drawn) / awaited.sum()).pvalue > 1e-3
    assert torch.equal(drawn[:1000], sampled(rows, 3)[:1000])
    assert not torch.equal(drawn, sampled(rows, 4))


def test_what_is_hidden_over_a_million_tokens() -> None:
    """15 % chosen, of which 85 % are masked and the rest are as they were."""
    batch = Batch.packed(texts(*[126] * 8000))
    sample = ReplacedTokens(WORDS)(batch, np.random.default_rng(0))
    assert isinstance(sample.batch, Seeded)
    assert isinstance(sample.targets, torch.Tensor)
    chosen = sample.targets != IGNORE_INDEX
    masked = sample.batch.batch.tokens[chosen] == 4
    assert abs(float(chosen.sum()) / float((batch.tokens >= 5).sum()) - 0.15) < 0.002
    assert abs(float(masked.float().mean()) - 0.85) < 0.004
    assert torch.equal(sample.batch.batch.tokens[chosen][~masked], sample.targets[chosen][~masked])


def test_a_sampled_token_that_is_the_original_is_not_replaced() -> None:
    batch = Batch.padded(torch.tensor([[2, 10, 4, 4, 13, 3]]))
    targets = torch.tensor([[IGNORE_INDEX, IGNORE_INDEX, 11, 12, IGNORE_INDEX, IGNORE_INDEX]])
    written, replaced = ReplacedTokens(WORDS).replace(batch, targets, torch.tensor([50, 12]))
    assert written.tokens.tolist() == [[2, 10, 50, 12, 13, 3]]
    assert replaced.tolist() == [[False, False, True, False, False, False]]


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_loss_by_hand(layout: str) -> None:
    model, objective = both(), ReplacedTokens(WORDS)
    objective.check(model)
    objective.check(model.discriminator)
    lists = texts(30, 7)
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    sample = objective(batch, np.random.default_rng(1))
    assert isinstance(sample.batch, Seeded)
    assert isinstance(sample.targets, torch.Tensor)
    with torch.no_grad():
        loss, again = objective.loss(model, sample), objective.loss(model, sample)
        chosen = sample.targets != IGNORE_INDEX
        logits = model.generator(sample.batch.batch).logits[chosen]
        words = torch.nn.functional.cross_entropy(logits, sample.targets[chosen])
        tokens = batch.tokens.clone()
        tokens[chosen] = sampled(logits, sample.batch.seed)
        said = model.discriminator(replace(batch, tokens=tokens)).logits
    rows = [(row, start + i) for row, start, n in batch.sequences for i in range(n)]
    each = [torch.nn.functional.softplus(-said[at] if tokens[at] != batch.tokens[at] else said[at]) for at in rows]
    found = torch.stack(each).mean()
    torch.testing.assert_close(loss.total, words + 50 * found)
    assert loss.parts["generator"] == pytest.approx(float(words), abs=1e-5)
    assert loss.parts["discriminator"] == pytest.approx(float(found), abs=1e-5)
    assert loss.parts["replaced"] == pytest.approx(float((tokens != batch.tokens).sum()) / len(rows))
    assert torch.equal(loss.total, again.total)


def test_neither_model_reads_what_is_hidden() -> None:
    """Another token under a mask: the generator writes the same words, so the discriminator reads the same text."""
    model = both()
    objective = ReplacedTokens(WORDS, MaskedLM(WORDS, masked=1.0, random=0.0))
    batch = Batch.from_lists(texts(30), 0)
    sample = objective(batch, np.random.default_rng(0))
    assert isinstance(sample.targets, torch.Tensor)
    chosen = sample.targets != IGNORE_INDEX
    other = objective(replace(batch, tokens=torch.where(chosen, 60, batch.tokens)), np.random.default_rng(0))
    assert torch.equal(sample.batch.batch.tokens, other.batch.batch.tokens)  # type: ignore[union-attr]
    assert sample.batch.seed == other.batch.seed  # type: ignore[union-attr]
    losses = [objective.loss(model, s).parts for s in (sample, other)]
    assert losses[0]["generator"] != losses[1]["generator"]


def test_gradients() -> None:
    """The discriminator's loss reaches the shared tables and nothing else of the generator."""
    model, objective = both(), ReplacedTokens(WORDS)
    sample = objective(Batch.packed(texts(40)), np.random.default_rng(0))
    loss = objective.loss(model, sample)
    words = torch.nn.functional.cross_entropy(
        model.generator(sample.batch.batch).logits.flatten(0, 1),
        sample.targets.flatten(),  # type: ignore[union-attr]
    )
    (loss.total - words).backward()  # type: ignore[no-untyped-call]
    inside = model.generator.body.encoder.layers[0].attention.qkv.weight.grad  # type: ignore[union-attr]
    assert float(inside.abs().max()) < 1e-5
    assert float(model.discriminator.body.encoder.layers[0].attention.qkv.weight.grad.abs().max()) > 1e-3  # type: ignore[union-attr]


def test_tables_are_one_and_are_saved_twice(tmp_path: Path) -> None:
    model = both()
    assert model.shared == ("tokens", "types", "positions")
    assert model.generator.body.tokens.weight is model.discriminator.body.tokens.weight
    alone = sum(p.numel() for m in (model.generator, model.discriminator) for p in m.parameters())
    tables = 99 * 16 + 2 * 16 + 64 * 16
    assert sum(p.numel() for p in model.parameters()) == alone - tables
    assert model.generator.spec.hidden_size == 8
    again = ReplacedTokenModel.load(model.save(tmp_path / "electra"))
    assert again.shared == model.shared
    ids = torch.tensor([texts(12)[0]])
    with torch.no_grad():
        torch.testing.assert_close(again.discriminator(ids).logits, model.discriminator(ids).logits)
        torch.testing.assert_close(again.generator(ids).logits, model.generator(ids).logits)


def test_sizes_that_do_not_allow_it() -> None:
    other = build({**TINY, "embedding_size": 24, "max_position_embeddings": 32}, "masked_lm")
    assert ReplacedTokenModel(other, build(TINY, "detect")).shared == ()


@pytest.mark.slow
def test_it_learns() -> None:
    """On texts that count, the discriminator finds what was replaced."""
    model, objective = both().train(), ReplacedTokens(WORDS)
    rng = np.random.default_rng(0)
    optimiser = torch.optim.AdamW(model.parameters(), 2e-3)
    found = []
    for _ in range(400):
        starts = rng.integers(5, 60, 16)
        loss = objective.loss(model, objective(Batch.packed([[2, *range(s, s + 30), 3] for s in starts]), rng))
        optimiser.zero_grad()
        loss.total.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        found.append(loss.parts["discriminator"])
    assert np.mean(found[-20:]) < 0.5 * np.mean(found[:20])


def test_wrong_questions() -> None:
    objective = ReplacedTokens(WORDS)
    with pytest.raises(UsageError, match="rtd trains two models"):
        objective.loss(build(TINY, "detect"), objective(Batch.packed(texts(5)), np.random.default_rng(0)))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="the generator needs the head masked_lm and has detect"):
        ReplacedTokenModel(build(TINY, "detect"), build(TINY, "detect"))
    with pytest.raises(ModelError, match="they need one vocabulary"):
        ReplacedTokenModel(build({**TINY, "vocab_size": 100}, "masked_lm"), build(TINY, "detect"))
    with pytest.raises(UsageError, match="not 50, 1 and 2"):
        ReplacedTokens(WORDS, size=2)
    with pytest.raises(UsageError, match="rtd needs the head detect, and this model has masked_lm"):
        ReplacedTokens(WORDS).check(build(TINY, "masked_lm"))


def test_a_trained_generator_is_left_as_it_is() -> None:
    """The paper's two stages: nothing is shared, nothing of the generator moves, and the loss is the discriminator's alone."""
    both_ways = both()
    objective = ReplacedTokens(WORDS, generator=both_ways.generator)
    model = objective.trained(both(1).discriminator).train()
    assert model.shared == ()
    assert not model.generator.training
    loss = objective.loss(model, objective(Batch.packed(texts(40)), np.random.default_rng(0)))
    assert float(loss.total.detach()) == pytest.approx(loss.parts["discriminator"], abs=1e-6)
    loss.total.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None for p in model.generator.parameters())
    assert float(model.discriminator.body.tokens.weight.grad.abs().max()) > 0
