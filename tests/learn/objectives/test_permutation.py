"""Permutation LM: its share and spans over a million tokens, random orders, and that no target sees itself in either stream."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from maskfork.core.batch import Batch
from maskfork.core.positions.xlnet import Relative
from maskfork.core.spec import AttentionSpec, EmbedSpec, FeedForwardSpec, HeadSpec, ModelSpec, NormSpec, StackSpec, full
from maskfork.core.two_stream import two_streams
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, TwoStreams
from maskfork.learn.objectives.permutation import PermutationLM
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.model import Model

WORDS = Vocabulary(200, frozenset(range(5)), pad=0, cls=2, sep=3)


def tiny(seed: int = 0) -> Model:
    """XLNet's parts by hand: relative places, post-norm, a vector for the query stream."""
    stack = StackSpec(
        2, 32, full(2), AttentionSpec(4, 8, 4, qkv_bias=False, out_bias=False), FeedForwardSpec(37), NormSpec(),
        positions=(Relative(),), embed=EmbedSpec(query_vector=True),
    )  # fmt: skip
    model = Model(ModelSpec("xlnet", 200, encoder=stack, head=HeadSpec("masked_lm", bias=True)))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_(0.0, 0.3, generator=generator)
    return model.eval()


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[2, *rng.integers(5, 200, n).tolist(), 3] for n in lengths]


def test_share_and_spans_over_a_million_tokens() -> None:
    """One in six; spans of 1 to 5 alike where no neighbour touches them; every place as often as any other."""
    objective = PermutationLM(WORDS)
    rng = np.random.default_rng(0)
    drawn = np.array([objective.chosen(504, rng) for _ in range(2000)])
    assert drawn.size > 1e6
    assert abs(drawn.mean() - 1 / 6) < 0.002
    assert np.ptp(drawn.mean(0)[30:-30]) < 0.07  # eight standard errors of 0.008
    edges = np.diff(np.c_[np.zeros(2000), drawn, np.zeros(2000)].astype(int), axis=1)
    lengths = np.concatenate([np.flatnonzero(row == -1) - np.flatnonzero(row == 1) for row in edges])
    alike = np.bincount(lengths, minlength=6)[1:6] / len(lengths)
    assert np.all(np.abs(alike - 0.2) < 0.02)
    assert (lengths > 5).mean() < 0.03  # two spans side by side
    assert all(objective.chosen(n, rng).any() for n in (1, 2, 3, 7) for _ in range(50))


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_sample(layout: str) -> None:
    lists = [*texts(40, 3, 100), [2, 3]]
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    sample = PermutationLM(WORDS)(batch, np.random.default_rng(0))
    assert isinstance(sample.batch, TwoStreams)
    assert isinstance(sample.targets, torch.Tensor)
    assert torch.equal(sample.batch.batch.tokens, batch.tokens)
    asked = sample.targets != IGNORE_INDEX
    assert torch.equal(sample.targets[asked], batch.tokens[asked])
    assert not bool((batch.tokens[asked] < 5).any())
    for number, (row, start, n) in enumerate(batch.sequences):
        own = sample.batch.order[number, :n] if batch.is_packed else sample.batch.order[row, start : start + n]
        count = int(asked[row, start : start + n].sum())
        assert torch.equal(own > 0, asked[row, start : start + n])
        assert sorted(own.tolist())[n - count :] == list(range(1, count + 1))
        assert (count > 0) == (n > 2)
    stored = sample.batch.places
    assert [int((r >= 0).sum()) for r in stored] == asked.sum(1).tolist()


def test_every_order_is_as_likely() -> None:
    objective = PermutationLM(WORDS, among=1.0)
    orders = []
    for seed in range(2400):
        sample = objective(Batch.from_lists([[7, 8, 9]], 0), np.random.default_rng(seed))
        assert isinstance(sample.batch, TwoStreams)
        orders.append(int("".join(map(str, sample.batch.order[0].tolist()))))
    counts = np.unique(orders, return_counts=True)[1]
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_no_target_is_visible_to_its_own_prediction(layout: str) -> None:
    """A target's token moves no prediction of itself or of what comes before it in the order, through either stream."""
    lists = texts(30, 6, 18)
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    model, objective = tiny(), PermutationLM(WORDS, among=3.0)
    sample = objective(batch, np.random.default_rng(1))
    streams = sample.batch
    assert isinstance(streams, TwoStreams)
    assert model.body.encoder is not None

    def both(tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        changed = Batch(tokens, batch.positions, batch.keep, None, batch.segments)
        with torch.no_grad():
            out = two_streams(model.body.encoder, changed, streams.order, streams.places.clamp_min(0))  # type: ignore[arg-type]
        return out.content, out.query

    content, query = both(batch.tokens)
    tested = 0
    for number, (row, start, n) in enumerate(batch.sequences):
        order = streams.order[number, :n] if batch.is_packed else streams.order[row, start : start + n]
        for place in range(n):
            tokens = batch.tokens.clone()
            tokens[row, start + place] = 150 if int(tokens[row, start + place]) != 150 else 151
            after_content, after_query = both(tokens)
            moved = (after_content - content).abs().amax(-1)[row, start : start + n] > 1e-6
            turn = int(order[place])
            assert moved.tolist() == [bool(o >= turn) if turn else True for o in order.tolist()]
            for column, at in enumerate(streams.places[row].tolist()):
                said = bool((after_query - query)[row, column].abs().max() > 1e-6)
                if at >= 0 and start <= at < start + n:
                    assert said == (int(order[at - start]) > turn)
                    tested += 1
    assert tested > 100


def test_the_loss_is_that_of_the_targets() -> None:
    model, objective = tiny(), PermutationLM(WORDS)
    objective.check(model)
    for batch in (Batch.packed(texts(30, 9)), Batch.from_lists(texts(30, 9), 0)):
        sample = objective(batch, np.random.default_rng(0))
        streams = sample.batch
        assert isinstance(streams, TwoStreams)
        assert isinstance(sample.targets, torch.Tensor)
        with torch.no_grad():
            loss = objective.loss(model, sample).total
            said = two_streams(model.body.encoder, batch, streams.order, streams.places.clamp_min(0)).query  # type: ignore[arg-type]
        logits = said @ model.body.tokens.weight.T + model.head.bias  # type: ignore[union-attr,operator]
        there = streams.places >= 0
        wanted = sample.targets.gather(1, streams.places.clamp_min(0))
        torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits[there], wanted[there]))
    objective.loss(model, sample).total.backward()  # type: ignore[no-untyped-call]
    assert float(model.body.encoder.embed.query.grad.abs().max()) > 0  # type: ignore[union-attr]


def test_xlnet_itself_is_trained_so() -> None:
    model = build({**all_families()["xlnet"].tiny[0], "model_type": "xlnet", "vocab_size": 200}, "masked_lm")
    objective = PermutationLM(WORDS)
    objective.check(model)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    losses = []
    for step in range(30):
        loss = objective.loss(model, objective(Batch.packed([list(range(40, 60))] * 4), np.random.default_rng(step))).total
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match=r"in 0\.5, in spans"):
        PermutationLM(WORDS, among=0.5)
    bert = build(dict(model_type="bert", vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=8), "masked_lm")  # fmt: skip
    with pytest.raises(UsageError, match=r"permutation needs a model with two streams .*, and this is bert with masked_lm"):
        PermutationLM(WORDS).check(bert)
    rows = Batch(torch.ones(2, 3, dtype=torch.long), torch.arange(3)[None], segments=torch.zeros(2, 3, dtype=torch.long))
    with pytest.raises(UsageError, match="pack texts into one row"):
        PermutationLM(WORDS)(rows, np.random.default_rng(0))
