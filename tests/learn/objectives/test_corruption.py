"""Span corruption: the reference's arithmetic, the way back, and that the answer is not seen."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, SourceTarget
from maskfork.learn.objectives.corruption import SpanCorruption, lengths_for, noise_mask, restore, spans_in
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build

SENTINELS = tuple(range(199, 99, -1))
WORDS = Vocabulary(200, frozenset({0, 1, 2, *SENTINELS}), pad=0, eos=1, sentinels=SENTINELS)
TINY = dict(model_type="t5", vocab_size=200, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[*rng.integers(3, 99, n).tolist(), 1] for n in lengths]


@pytest.mark.parametrize(
    ("read", "density", "span", "text", "answer"),
    [(512, 0.15, 3.0, 568, 114), (512, 0.5, 3.0, 767, 511), (114, 0.15, 3.0, 125, 26), (512, 0.15, 8.0, 592, 101)],
)
def test_lengths_are_the_references(read: int, density: float, span: float, text: int, answer: int) -> None:
    """t5.data.preprocessors.random_spans_helper, worked out by its own rule in this test."""

    def both(n: int) -> tuple[int, int]:
        noise = round(n * density)
        spans = round(noise / span)
        return n - noise + spans + 1, noise + spans + 1

    n = read
    while both(n + 1)[0] <= read:
        n += 1
    said = both(n)[1]
    if density == 0.5 and said > read:
        n, said = n - 1, said - 1
    assert lengths_for(read, density, span) == (n, said)
    if (read, span) == (512, 3.0) and density == 0.15:
        assert (n, said) == (text, answer)  # as published


def test_noise_over_a_million_tokens() -> None:
    """The share is exact for each text, and the spans' mean is what was asked; every cut is as likely as any other."""
    rng = np.random.default_rng(0)
    masks = [noise_mask(500, 0.15, 3.0, rng) for _ in range(2000)]
    assert all(m.sum() == 75 and not m[0] and m[-1] for m in masks)
    runs = np.concatenate([np.diff(np.flatnonzero(np.diff(np.r_[0, m.astype(int), 0])))[::2] for m in masks])
    assert runs.mean() == 3.0
    share_of_ones = np.mean(runs == 1)  # of 75 in 25 parts: C(73, 23) / C(74, 24) = 24 / 74
    assert abs(share_of_ones - 24 / 74) < 0.01
    assert np.ptp(np.mean(masks, axis=0)[5:-5]) < 0.1


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_the_way_back(layout: str) -> None:
    lists = texts(40, 3, 2, 17, 120)
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    objective = SpanCorruption(WORDS)
    for seed in range(30):
        sample = objective(batch, np.random.default_rng(seed))
        assert isinstance(sample.batch, SourceTarget)
        assert isinstance(sample.targets, torch.Tensor)
        source, target = sample.batch.source, sample.batch.target
        for text, (a, s, n), (b, t, m) in zip(lists, source.sequences, target.sequences, strict=True):
            read, said = source.tokens[a, s : s + n].numpy(), sample.targets[b, t : t + m].numpy()
            assert read[-1] == said[-1] == 1
            assert restore(read[:-1], said[:-1], SENTINELS).tolist() == text[:-1]
            noise, spans = spans_in(len(text) - 1, 0.15, 3.0)
            assert (n, m) == (len(text) - noise + spans, noise + spans + 1)
            assert target.tokens[b, t : t + m].tolist() == [0, *said[:-1].tolist()]  # shifted right
        assert int((sample.targets != IGNORE_INDEX).sum()) == sum(m for _, _, m in target.sequences)


def test_the_answer_is_not_in_the_source() -> None:
    """What was cut moves no state of the encoder, and no decoder state before it is written."""
    model = build(TINY, "causal_lm")
    objective = SpanCorruption(WORDS)
    objective.check(model)
    one = Batch.from_lists(texts(30), 0)
    first = objective(one, np.random.default_rng(0))
    assert isinstance(first.batch, SourceTarget)
    cut = noise_mask(30, 0.15, 3.0, np.random.default_rng(0))
    tokens = one.tokens.clone()
    tokens[0, :-1][torch.from_numpy(cut)] = 50
    second = objective(Batch.padded(tokens), np.random.default_rng(0))
    assert isinstance(second.batch, SourceTarget)
    assert torch.equal(first.batch.source.tokens, second.batch.source.tokens)
    assert not torch.equal(first.targets, second.targets)  # type: ignore[arg-type]
    with torch.no_grad():
        states = [model(s.batch.source, decoder_input_ids=s.batch.target).last_hidden_state for s in (first, second)]  # type: ignore[union-attr]
    differs = (first.batch.target.tokens != second.batch.target.tokens)[0].long()
    until = int(differs.argmax())
    assert until > 0
    assert torch.equal(states[0][:, :until], states[1][:, :until])
    assert not torch.equal(states[0][:, until:], states[1][:, until:])


def test_the_loss_is_that_of_the_answer() -> None:
    model = build(TINY, "causal_lm")
    for batch in (Batch.from_lists(texts(30, 8), 0), Batch.packed(texts(30, 8))):
        sample = SpanCorruption(WORDS)(batch, np.random.default_rng(1))
        assert isinstance(sample.batch, SourceTarget)
        with torch.no_grad():
            loss = SpanCorruption(WORDS).loss(model, sample).total
            logits = model(sample.batch.source, decoder_input_ids=sample.batch.target).logits
        exact = torch.nn.functional.cross_entropy(logits.flatten(0, 1), sample.targets.flatten())  # type: ignore[union-attr]
        torch.testing.assert_close(loss, exact)


def test_wrong_questions() -> None:
    with pytest.raises(TokenizerError, match="needs sentinels"):
        SpanCorruption(Vocabulary(10, frozenset(), pad=0, eos=1))
    few = Vocabulary(200, frozenset({199}), pad=0, eos=1, sentinels=(199,))
    with pytest.raises(UsageError, match="the tokenizer has 1 sentinels"):
        SpanCorruption(few)(Batch.packed(texts(100)), np.random.default_rng(0))
    with pytest.raises(UsageError, match="density is a share"):
        SpanCorruption(WORDS, density=2)
    bert = build(dict(model_type="bert", vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2,
                      intermediate_size=8), "masked_lm")  # fmt: skip
    with pytest.raises(UsageError, match="span-corruption is for an encoder-decoder, and bert is an encoder: use mlm"):
        SpanCorruption(WORDS).check(bert)
