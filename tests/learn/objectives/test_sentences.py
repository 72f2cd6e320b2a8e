"""RoBERTa's packing: nothing lost, no sentence broken, samples full, documents kept apart where asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.objectives.contract import IGNORE_INDEX
from maskfork.learn.objectives.mlm import MaskedLM
from maskfork.learn.objectives.sentences import DocSentences, FullSentences
from maskfork.learn.objectives.vocabulary import Vocabulary
from maskfork.models.hub import build
from tests.learn.objectives.test_nsp import CLS, SEP, STOP, TINY, WORDS, document_of, documents

MLM = MaskedLM(WORDS)


def samples(batch: Batch) -> list[list[int]]:
    return [batch.tokens[row, start : start + n].tolist() for row, start, n in batch.sequences]


@pytest.mark.parametrize("layout", ["padded", "packed"])
def test_nothing_is_lost_and_no_sentence_broken(layout: str) -> None:
    lists = documents(9, 30)
    batch = Batch.packed(lists) if layout == "packed" else Batch.from_lists(lists, 0)
    text = [i for ids in lists for i in ids[1:-1]]
    for objective in (FullSentences(WORDS, MLM, 100), DocSentences(WORDS, MLM, 100)):
        made = samples(objective.packed(batch))
        assert [i for ids in made for i in ids if i not in (CLS, SEP)] == text
        for ids in made:
            assert (ids[0], ids[-2], ids[-1]) == (CLS, STOP, SEP)  # a sentence ends every sample
            assert len(ids) <= 100
            apart = [part for part in "".join("|" if i == SEP else "x" for i in ids).split("|") if part]
            assert all(apart)
    for ids in samples(DocSentences(WORDS, MLM, 100).packed(batch)):
        assert len(document_of([i for i in ids if i not in (CLS, SEP)])) == 1


def test_samples_are_full_over_a_million_tokens() -> None:
    """A sample lacks less than its next sentence, of 15 tokens on average: 512 are filled to 98 %."""
    batch = Batch.packed(documents(1400, 52))
    made = FullSentences(WORDS, MLM, 512).packed(batch)
    lengths = np.array([n for _, _, n in made.sequences])
    assert lengths[:-1].min() > 512 - 26
    assert abs(lengths.mean() - 505) < 3
    separators = int((made.tokens == SEP).sum()) - len(lengths)
    assert separators > 1300  # of 1399 ends between documents; the others fell on a sample's end
    alone = DocSentences(WORDS, MLM, 512).packed(batch)
    assert int((alone.tokens == SEP).sum()) == len(alone.sequences)


def test_a_long_sentence_and_ends_without_text() -> None:
    batch = Batch.from_lists([[*range(10, 22)], [CLS, SEP], [30, 31, STOP]], 0)
    full = samples(FullSentences(WORDS, MLM, 7).packed(batch))
    assert full == [[CLS, *range(10, 15), SEP], [CLS, *range(15, 20), SEP], [CLS, 20, 21, SEP], [CLS, 30, 31, STOP, SEP]]
    wide = samples(FullSentences(WORDS, MLM, 9).packed(Batch.from_lists([[10, 11], [12, STOP], [13, 14, 15]], 0)))
    assert wide == [[CLS, 10, 11, SEP, 12, STOP, SEP], [CLS, 13, 14, 15, SEP]]


def test_the_question_is_the_inner_ones() -> None:
    model = build(TINY, "masked_lm")
    lists = documents(3)
    batch = replace(
        Batch.packed(lists), words=torch.tensor([[i // 2 if t > 4 else -1 for ids in lists for i, t in enumerate(ids)]])
    )
    inner = MaskedLM(WORDS, units="word", masked=1.0, random=0.0)
    objective = FullSentences(WORDS, inner, 64)
    objective.check(model)
    assert (objective.needs, objective.head) == ("encoder", "masked_lm")
    sample = objective(batch, np.random.default_rng(0))
    whole = objective.packed(batch)
    assert torch.equal(sample.targets, inner(whole, np.random.default_rng(0)).targets)  # type: ignore[arg-type]
    chosen = sample.targets != IGNORE_INDEX
    assert torch.equal(sample.targets[chosen], whole.tokens[chosen])  # type: ignore[index]
    assert float(objective.loss(model, sample).total.detach()) > 0


def test_wrong_questions() -> None:
    with pytest.raises(TokenizerError, match="full-sentences needs tokens that begin and end a text"):
        FullSentences(Vocabulary(9, frozenset(), mask=1), MLM)
    with pytest.raises(UsageError, match="at least one of text, not 2 in all"):
        DocSentences(WORDS, MLM, 2)
    with pytest.raises(UsageError, match="doc-sentences found no text"):
        DocSentences(WORDS, MLM)(Batch.packed([[CLS, SEP]]), np.random.default_rng(0))
