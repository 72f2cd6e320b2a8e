"""BART's noises: how much they spoil, Poisson lengths, and that the text can be had back from the answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import SourceTarget
from maskfork.learn.objectives.denoise import Denoise, Noise, span_lengths
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build

MASK, STOP = 4, 9
WORDS = Vocabulary(500, frozenset({0, 1, 2, MASK}), mask=MASK, pad=1, bos=0, eos=2, stops=(STOP,))
TINY = dict(
    model_type="bart", vocab_size=500, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
    decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=128,
)  # fmt: skip


def text(length: int, seed: int = 0) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(10, 500, length)
    ids[4::5] = STOP
    return ids


def with_ends(ids: np.ndarray) -> list[int]:
    return [0, *ids.tolist(), 2]


def spoilt(noise: Noise, ids: np.ndarray, seed: int) -> np.ndarray:
    return Denoise(WORDS, (noise,)).spoil(np.asarray(with_ends(ids)), np.random.default_rng(seed))[1:-1]


def test_shares_over_a_million_tokens() -> None:
    """30 % to the rounding of a text's length."""
    ids = text(1000)
    for seed in range(1000):
        assert int((spoilt("masking", ids, seed) == MASK).sum()) == 300
        assert len(spoilt("deletion", ids, seed)) == 700
        left = spoilt("infilling", ids, seed)
        assert len(left) - int((left == MASK).sum()) == 700


def test_lengths_are_poisson() -> None:
    """Without the last of each text, which is cut to fit; the budget makes long ones a trace rarer than chance."""
    rng = np.random.default_rng(0)
    drawn = np.concatenate([span_lengths(3000, 3.0, rng)[:-1] for _ in range(300)])
    seen = np.bincount(np.minimum(drawn, 9), minlength=10)
    awaited = np.r_[stats.poisson.pmf(np.arange(9), 3.0), stats.poisson.sf(8, 3.0)] * len(drawn)
    assert len(drawn) > 250_000
    assert stats.chisquare(seen, awaited).pvalue > 1e-3
    assert abs(drawn.mean() - 3.0) < 0.02


def test_infilling_keeps_the_order_of_what_stays_and_the_answer_is_the_text() -> None:
    lists = [with_ends(text(n, n)) for n in (60, 1, 12)]
    for batch in (Batch.packed(lists), Batch.from_lists(lists, 1)):
        sample = Denoise(WORDS, ("infilling",))(batch, np.random.default_rng(5))
        assert isinstance(sample.batch, SourceTarget)
        assert isinstance(sample.targets, torch.Tensor)
        source, target = sample.batch.source, sample.batch.target
        for ids, (a, s, n), (b, t, m) in zip(lists, source.sequences, target.sequences, strict=True):
            assert sample.targets[b, t : t + m].tolist() == ids
            assert target.tokens[b, t : t + m].tolist() == [2, *ids[:-1]]
            read = source.tokens[a, s : s + n].tolist()
            pattern = iter(ids)
            assert all(token == MASK or token in pattern for token in read)  # a subsequence
            assert (read[0], read[-1]) == (0, 2)


def test_permutation_and_rotation_lose_nothing() -> None:
    ids = text(25)
    orders, begins = set(), set()
    for seed in range(200):
        moved = spoilt("permutation", ids, seed)
        assert sorted(moved.tolist()) == sorted(ids.tolist())
        orders.add(tuple(moved[::5].tolist()))
        turned = spoilt("rotation", ids, seed)
        begins.add(int(turned[0]))
        at = next(i for i in range(25) if np.array_equal(np.roll(ids, -i), turned))
        assert 0 <= at < 25
    assert len(orders) > 60  # of 120
    assert len(begins) > 15


def test_rotation_begins_anywhere_alike() -> None:
    ids = np.arange(10, 30)
    first = np.array([spoilt("rotation", ids, seed)[0] - 10 for seed in range(4000)])
    assert stats.chisquare(np.bincount(first, minlength=20)).pvalue > 1e-3


def test_what_is_hidden_is_not_seen() -> None:
    """Under masking the encoder's states are the same whatever stood under the masks."""
    model, objective = build(TINY, "causal_lm"), Denoise(WORDS, ("masking",))
    objective.check(model)
    one = np.asarray(with_ends(text(20)))
    hidden = objective.spoil(one, np.random.default_rng(0)) == MASK
    other = np.where(hidden, 77, one)
    samples = [objective(Batch.from_lists([ids.tolist()], 1), np.random.default_rng(0)) for ids in (one, other)]
    with torch.no_grad():
        states = [model(s.batch.source).encoder_last_hidden_state for s in samples]  # type: ignore[union-attr]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(samples[0].targets, samples[1].targets)  # type: ignore[arg-type]
    assert float(objective.loss(model, samples[0]).total.detach()) > 0


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match="'spelling' is not a noise"):
        Denoise(WORDS, ("spelling",))  # type: ignore[arg-type]
    with pytest.raises(TokenizerError, match="where sentences end"):
        Denoise(Vocabulary(9, frozenset(), mask=1, eos=2), ("permutation",))
    with pytest.raises(TokenizerError, match="needs a mask token"):
        Denoise(Vocabulary(9, frozenset(), eos=2), ("infilling",))
