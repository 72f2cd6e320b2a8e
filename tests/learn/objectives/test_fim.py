"""Fill-in-the-middle: its shares and cuts over a million tokens, the way back, and that the middle is not seen before it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.clm import clm
from maskfork.learn.objectives.contract import IGNORE_INDEX
from maskfork.learn.objectives.fim import FillInTheMiddle
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build
from tests.learn.tiny import tokenizer

BOS, EOS, PRE, SUF, MID = 1, 2, 3, 4, 5
WORDS = Vocabulary(100, frozenset(range(6)), pad=0, bos=BOS, eos=EOS, fill=(PRE, SUF, MID))
TINY = dict(model_type="gpt2", vocab_size=100, n_embd=16, n_layer=1, n_head=2, n_positions=64)


def texts(*lengths: int, seed: int = 0) -> list[list[int]]:
    rng = np.random.default_rng(seed)
    return [[BOS, *rng.integers(6, 100, n).tolist(), EOS] for n in lengths]


def rows(batch: Batch) -> list[np.ndarray]:
    return [batch.tokens[row, start : start + n].numpy() for row, start, n in batch.sequences]


def test_shares_and_cuts_over_a_million_tokens() -> None:
    """Half is cut, half of these begin with the suffix; the cuts are two of 31 places alike."""
    lists = texts(*[30] * 32_000)
    sample = FillInTheMiddle(WORDS)(Batch.packed(lists), np.random.default_rng(0))
    assert isinstance(sample.batch, Batch)
    told = rows(sample.batch)
    cut = [ids for ids in told if MID in ids]
    assert abs(len(cut) / len(told) - 0.5) < 0.012
    spm = [ids for ids in cut if ids[2] == SUF and np.flatnonzero(ids == MID)[0] > 3]
    empty = 1 - (1 - 1 / 31) ** 2  # of PSM a prefix of nothing looks the same
    assert 0.48 < len(spm) / len(cut) < 0.52 + empty / 2
    sure = FillInTheMiddle(WORDS, rate=1.0, spm=0.0)(Batch.packed(lists[:8000]), np.random.default_rng(1))
    marks = [[int(np.flatnonzero(ids == t)[0]) for t in (SUF, MID)] for ids in rows(sure.batch)]  # type: ignore[arg-type]
    prefix = np.array([s - 2 for s, _ in marks])
    suffix = np.array([m - s - 1 for s, m in marks])
    awaited = np.array([2 * (30 - n) + 1 for n in range(31)]) / 31**2  # the smaller of two alike
    for seen in (prefix, suffix):
        assert stats.chisquare(np.bincount(seen, minlength=31), awaited * len(seen)).pvalue > 1e-3


@pytest.mark.parametrize("layout", ["padded", "packed"])
@pytest.mark.parametrize("spm", [0.0, 1.0])
def test_the_way_back(layout: str, spm: float) -> None:
    lists = [*texts(40, 3, 1, 0), [7, 8, 9]]
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    objective = FillInTheMiddle(WORDS, rate=1.0, spm=spm)
    for seed in range(40):
        sample = objective(batch, np.random.default_rng(seed))
        assert isinstance(sample.batch, Batch)
        assert sample.mask is None
        assert torch.equal(sample.targets, clm(sample.batch))  # type: ignore[arg-type]
        for ids, told in zip(lists, rows(sample.batch), strict=True):
            assert objective.restore(told).tolist() == ids
            assert len(told) == len(ids) + (3 if len(ids) > 2 else 0)
            assert [t for t in told if t in (PRE, SUF, MID)] == ([PRE, SUF, MID] if len(ids) > 2 else [])


def test_no_text_becomes_longer_than_it_may() -> None:
    lists = texts(30, 27, 10)
    objective = FillInTheMiddle(WORDS, rate=1.0, length=32)
    for seed in range(20):
        told = rows(objective(Batch.packed(lists), np.random.default_rng(seed)).batch)  # type: ignore[arg-type]
        assert [len(ids) for ids in told] == [32, 32, 15]
        assert [objective.restore(ids).tolist() for ids in told] == [[*lists[0][:28], EOS], lists[1], lists[2]]


def test_the_middle_alone() -> None:
    """The loss begins with the middle's first token, ends with end-of-text, and leaves uncut texts whole."""
    lists = texts(20)
    for spm in (0.0, 1.0):
        objective = FillInTheMiddle(WORDS, rate=1.0, spm=spm, asked="middle")
        for seed in range(30):
            sample = objective(Batch.packed(lists), np.random.default_rng(seed))
            one, two = sorted(int(lot * 21) for lot in np.random.default_rng(seed).random((1, 4))[0, 2:])
            asked = sample.targets[sample.targets != IGNORE_INDEX]  # type: ignore[index]
            assert asked.tolist() == [*lists[0][1:-1][one:two], EOS]
    whole = FillInTheMiddle(WORDS, rate=0.0, asked="middle")(Batch.packed(lists), np.random.default_rng(0))
    assert torch.equal(whole.targets, clm(Batch.packed(lists)))  # type: ignore[arg-type]


def test_the_middle_is_not_seen_before_it_is_said() -> None:
    model, objective = build(TINY, "causal_lm"), FillInTheMiddle(WORDS, rate=1.0, spm=0.0)
    objective.check(model)
    first = np.array(texts(20)[0])
    told, middle = objective.tell(first, 0.0, 1.0, 0.3, 0.7)
    other = np.where(middle & (told > 5), (told + 7) % 90 + 6, told)
    with torch.no_grad():
        one, two = (model(torch.from_numpy(ids)[None]).last_hidden_state for ids in (told, other))
        sample = objective(Batch.packed(texts(20)), np.random.default_rng(0))
        loss, logits = objective.loss(model, sample).total, model(sample.batch).logits
    at = int(np.flatnonzero(middle)[0])
    assert torch.equal(one[:, :at], two[:, :at])
    assert not torch.equal(one[:, at:], two[:, at:])
    torch.testing.assert_close(loss, torch.nn.functional.cross_entropy(logits.flatten(0, 1), sample.targets.flatten()))  # type: ignore[union-attr]


def test_the_tokenizer_says_which_tokens() -> None:
    own = tokenizer("gpt2")
    assert Vocabulary.of(own).fill is None
    own.inner.add_special_tokens(["<fim_prefix>", "<fim_middle>", "<fim_suffix>"])
    vocabulary = Vocabulary.of(own)
    assert vocabulary.fill == (own.id("<fim_prefix>"), own.id("<fim_suffix>"), own.id("<fim_middle>"))
    assert set(vocabulary.fill or ()) <= vocabulary.special


def test_wrong_questions() -> None:
    with pytest.raises(TokenizerError, match="needs <PRE>, <SUF> and <MID>"):
        FillInTheMiddle(Vocabulary(10, frozenset()))
    with pytest.raises(UsageError, match=r"shares between 0 and 1, not 2 and 0\.5"):
        FillInTheMiddle(WORDS, rate=2)
    with pytest.raises(UsageError, match="not on 'end'"):
        FillInTheMiddle(WORDS, asked="end")  # type: ignore[arg-type]
