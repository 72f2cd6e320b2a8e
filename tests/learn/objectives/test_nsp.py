"""Next-sentence prediction: halves over a million tokens, BERT's own cuts, where each half comes from, and its loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX, Targets
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.nsp import NextSentence
from maskfork.learn.objectives.pairs import sentences_of, truncated
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build

CLS, SEP, MASK, STOP = 2, 3, 4, 9
WORDS = Vocabulary(30_000, frozenset(range(5)), mask=MASK, pad=0, cls=CLS, sep=SEP, stops=(STOP,))
TINY = dict(
    model_type="bert", vocab_size=200, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
    max_position_embeddings=128,
)  # fmt: skip


def documents(count: int, sentences: int = 40, seed: int = 0) -> list[list[int]]:
    """[CLS] sentences [SEP]; the words of document d lie between 10 + 20 d and 30 + 20 d, so that a token tells its document."""
    rng = np.random.default_rng(seed)
    out = []
    for d in range(count):
        ids = [CLS]
        for _ in range(sentences):
            ids += [*(10 + 20 * (d % 1400) + rng.integers(0, 20, rng.integers(3, 25))).tolist(), STOP]
        out.append([*ids, SEP])
    return out


def pairs_in(sample_batch: Batch) -> list[tuple[list[int], list[int]]]:
    """(a, b) of each [CLS] a [SEP] b [SEP], after a look at its types."""
    assert sample_batch.types is not None
    found = []
    for row, start, n in sample_batch.sequences:
        ids, types = (x[row, start : start + n].tolist() for x in (sample_batch.tokens, sample_batch.types))
        assert (ids[0], ids[-1], ids.count(SEP)) == (CLS, SEP, 2)
        cut = ids.index(SEP)
        assert types == [0] * (cut + 1) + [1] * (n - cut - 1)
        found.append((ids[1:cut], ids[cut + 1 : -1]))
    return found


def document_of(ids: list[int]) -> set[int]:
    return {(i - 10) // 20 for i in ids if i != STOP}


def test_halves_over_a_million_tokens() -> None:
    """50 % of the pairs of long documents, four standard errors and the documents' last, lone sentences beside them."""
    batch = Batch.packed(documents(1400, 52))
    assert batch.tokens.numel() > 1e6
    sample = NextSentence(WORDS)(batch, np.random.default_rng(0))
    assert isinstance(sample.batch, Batch)
    assert isinstance(sample.targets, Targets)
    labels = sample.targets.pairs.numpy()
    assert len(labels) > 9_000
    assert 0.49 < labels.mean() < 0.56
    assert bool((sample.targets.tokens == IGNORE_INDEX).all())
    for (a, b), label in zip(pairs_in(sample.batch), labels, strict=True):
        assert a
        assert b
        assert len(a) + len(b) <= 125
        assert (document_of(a) == document_of(b)) == (label == 0)


def test_no_sentence_is_lost_and_a_true_second_follows() -> None:
    """Where nothing is cut, a document's sentences stand in its pairs in their order, once each."""
    lists = documents(6)
    sample = NextSentence(WORDS, length=9000, short=0.0)(Batch.from_lists(lists, 0), np.random.default_rng(1))
    assert isinstance(sample.targets, Targets)
    said: dict[int, list[int]] = {d: [] for d in range(6)}
    for (a, b), label in zip(pairs_in(sample.batch), sample.targets.pairs.tolist(), strict=True):  # type: ignore[arg-type]
        said[document_of(a).pop()] += a + (b if label == 0 else [])
    for d, ids in enumerate(lists):
        assert said[d] == ids[1:-1]


def test_truncation_is_the_references() -> None:
    """Lengths against the loop of truncate_seq_pair; front and back alike."""

    def loop(a: int, b: int, room: int) -> tuple[int, int]:
        while a + b > room:
            a, b = (a - 1, b) if a > b else (a, b - 1)
        return a, b

    rng = np.random.default_rng(0)
    for _ in range(2000):
        a, b, room = (int(n) for n in (*rng.integers(1, 60, 2), rng.integers(3, 60)))
        first, second = truncated(np.arange(a), np.arange(b), room, rng)
        assert (len(first), len(second)) == loop(a, b, room)
        assert np.array_equal(first, np.arange(a)[first[0] : first[0] + len(first)])
    fronts = [truncated(np.arange(120), np.arange(20), 100, rng)[0][0] for _ in range(4000)]
    assert abs(np.mean(fronts) - 20) < 0.2  # of 40 coins, standard error 0.05


def test_short_ones_and_other_layouts() -> None:
    lists = documents(300, 30)
    for batch in (Batch.packed(lists), Batch.from_lists(lists, 0)):
        sample = NextSentence(WORDS, short=1.0)(batch, np.random.default_rng(0))
        assert isinstance(sample.batch, Batch)
        assert sample.batch.is_packed == batch.is_packed
        lengths = [n for _, _, n in sample.batch.sequences]
        assert np.mean(lengths) < 100
    one, two = (NextSentence(WORDS)(Batch.packed(lists), np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(one.batch.tokens, two.batch.tokens)  # type: ignore[union-attr]


def test_with_hidden_tokens() -> None:
    """Both losses at once, each as worked out from the logits; whole words stay whole across the new order."""
    model = build(TINY, "pretrain")
    lists = documents(5)
    batch = Batch.packed(lists)
    words = torch.tensor([[-1 if t in (CLS, SEP) else i // 3 for ids in lists for i, t in enumerate(ids)]])
    objective = NextSentence(WORDS, mlm=MaskedLM(WORDS, units="word", masked=1.0, random=0.0))
    objective.check(model)
    sample = objective(replace(batch, words=words), np.random.default_rng(0))
    assert isinstance(sample.targets, Targets)
    assert isinstance(sample.batch, Batch)
    assert sample.batch.words is not None
    chosen = sample.targets.tokens != IGNORE_INDEX
    assert 0.1 < float(chosen.float().mean()) < 0.2
    words = sample.batch.words
    inside = (words[:, 1:] == words[:, :-1]) & (words[:, 1:] >= 0)
    assert torch.equal(chosen[:, 1:][inside], chosen[:, :-1][inside])
    with torch.no_grad():
        loss = objective.loss(model, sample)
        out = model(sample.batch)
    tokens = torch.nn.functional.cross_entropy(out.logits.flatten(0, 1), sample.targets.tokens.flatten())
    pairs = torch.nn.functional.cross_entropy(out.pair_logits, sample.targets.pairs)
    torch.testing.assert_close(loss.total, tokens + pairs)
    assert loss.parts == pytest.approx({"mlm": float(tokens), "nsp": float(pairs)}, abs=1e-5)


def test_alone_and_that_no_token_of_another_pair_is_read() -> None:
    model, objective = build(TINY, "pair"), NextSentence(WORDS)
    objective.check(model)
    sample = objective(Batch.packed(documents(3)), np.random.default_rng(0))
    assert isinstance(sample.batch, Batch)
    assert isinstance(sample.targets, Targets)
    row, start, n = sample.batch.sequences[0]
    tokens = sample.batch.tokens.clone()
    tokens[row, start + 1 : start + n - 1] = 50
    with torch.no_grad():
        before, after = model(sample.batch).logits, model(replace(sample.batch, tokens=tokens)).logits
        loss = objective.loss(model, sample).total
    assert not torch.equal(before[0], after[0])
    torch.testing.assert_close(before[1:], after[1:])
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(before, sample.targets.pairs))


def test_sentences() -> None:
    batch = Batch.from_lists([[CLS, 10, STOP, STOP, 11, 12, SEP], [CLS, SEP], [13]], 0)
    assert [[s.tolist() for s in d] for d in sentences_of(batch, WORDS)] == [[[1, 2, 3], [4, 5]], [[14]]]


def test_wrong_questions() -> None:
    with pytest.raises(UsageError, match="this batch holds only one: give several"):
        NextSentence(WORDS)(Batch.packed(documents(1)), np.random.default_rng(0))
    with pytest.raises(TokenizerError, match="needs a sep token"):
        NextSentence(Vocabulary(9, frozenset(), cls=1))
    with pytest.raises(UsageError, match="at least 5 tokens, not 4"):
        NextSentence(WORDS, length=4)
    with pytest.raises(UsageError, match="no two runs of text"):
        NextSentence(WORDS)(Batch.packed([[CLS, SEP]]), np.random.default_rng(0))
    with pytest.raises(UsageError, match="nsp needs the head pair, and this model has masked_lm"):
        NextSentence(WORDS).check(build(TINY, "masked_lm"))


def test_a_random_second_is_never_of_the_same_document() -> None:
    """Pieces of 3 documents, their words apart: by the batch's own numbers, no two halves of a random pair are of one."""
    lists = documents(3, 60)
    pieces = [[CLS, *ids[at : at + 120], SEP] for ids in (x[1:-1] for x in lists) for at in range(0, len(ids) - 120, 120)]
    batch = Batch.packed(pieces)
    of = torch.full_like(batch.tokens, -1)
    ordinary = ~WORDS.is_special(batch.tokens)
    of[ordinary] = torch.where(batch.tokens == STOP, -1, (batch.tokens - 10) // 20)[ordinary]
    for row, start, n in batch.sequences:
        of[row, start + 1 : start + n - 1] = of[row, start : start + n].max()
    sample = NextSentence(WORDS, length=64)(replace(batch, documents=of), np.random.default_rng(3))
    assert isinstance(sample.batch, Batch)
    assert isinstance(sample.targets, Targets)
    labels = sample.targets.pairs.tolist()
    assert 0.3 < np.mean(labels) < 0.7
    for (a, b), label in zip(pairs_in(sample.batch), labels, strict=True):
        assert (document_of(a) == document_of(b)) == (label == 0)
    one = replace(batch, documents=torch.where(of < 0, of, 7))
    with pytest.raises(UsageError, match=r"this batch holds only one: give several, as with --documents paragraph"):
        NextSentence(WORDS, length=64)(one, np.random.default_rng(3))
