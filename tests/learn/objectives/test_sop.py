"""Sentence order: halves over a million tokens, the two runs are neighbours whichever comes first, and its loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import UsageError
from maskfork.learn.objectives.contract import Targets
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.sop import SentenceOrder
from maskfork.models.hub import build
from tests.learn.objectives.test_nsp import CLS, SEP, TINY, WORDS, documents, pairs_in


def test_halves_over_a_million_tokens() -> None:
    batch = Batch.packed(documents(1400, 52))
    assert batch.tokens.numel() > 1e6
    sample = SentenceOrder(WORDS)(batch, np.random.default_rng(0))
    assert isinstance(sample.targets, Targets)
    labels = sample.targets.pairs.numpy()
    assert len(labels) > 9_000
    assert abs(labels.mean() - 0.5) < 0.02  # four standard errors


def test_the_way_back() -> None:
    """Put in order by their labels, the pairs are the documents again."""
    lists = documents(12)
    sample = SentenceOrder(WORDS, length=9000, short=0.0)(Batch.from_lists(lists, 0), np.random.default_rng(1))
    assert isinstance(sample.batch, Batch)
    assert isinstance(sample.targets, Targets)
    said: list[int] = []
    for (a, b), label in zip(pairs_in(sample.batch), sample.targets.pairs.tolist(), strict=True):
        said += b + a if label else a + b
    assert said == [i for ids in lists for i in ids[1:-1]]
    assert 0 < int(sample.targets.pairs.sum()) < len(sample.targets.pairs)


def test_one_sentence_is_cut_anywhere() -> None:
    batch = Batch.packed([[CLS, 10, 11, 12, 13, SEP]])
    cuts = set()
    for seed in range(60):
        sample = SentenceOrder(WORDS)(batch, np.random.default_rng(seed))
        assert isinstance(sample.batch, Batch)
        assert isinstance(sample.targets, Targets)
        ((a, b),), label = pairs_in(sample.batch), int(sample.targets.pairs)
        assert (b + a if label else a + b) == [10, 11, 12, 13]
        cuts.add((len(a), label))
    assert len(cuts) == 6


def test_loss_with_hidden_tokens() -> None:
    model = build({**TINY, "model_type": "albert", "embedding_size": 8}, "pretrain")
    objective = SentenceOrder(WORDS, mlm=MaskedLM(WORDS, masked=1.0, random=0.0))
    objective.check(model)
    sample = objective(Batch.packed(documents(3)), np.random.default_rng(0))
    assert isinstance(sample.targets, Targets)
    with torch.no_grad():
        loss, out = objective.loss(model, sample), model(sample.batch)
    tokens = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), sample.targets.tokens.flatten())
    pairs = torch.nn.functional.cross_entropy(out.pair_logits, sample.targets.pairs)
    torch.testing.assert_close(loss.total, tokens + pairs)
    assert set(loss.parts) == {"mlm", "sop"}


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match="sop found no two runs of text"):
        SentenceOrder(WORDS)(Batch.packed([[CLS, 10, SEP]]), np.random.default_rng(0))
    with pytest.raises(UsageError, match="sop needs the head pretrain, and this model has pair"):
        SentenceOrder(WORDS, mlm=MaskedLM(WORDS)).check(build(TINY, "pair"))
