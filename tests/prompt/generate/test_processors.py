"""Processors and filters equal those of `transformers`, one by one; padding counts as no text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers.generation import logits_process as theirs

from maskfork.prompt.generate import filters, processors
from maskfork.prompt.generate.chain import chain_of
from maskfork.prompt.generate.seen import Processor, Seen
from maskfork.prompt.generate.settings import Settings

VOCAB, PROMPT = 30, 5
SOURCE = torch.randint(0, VOCAB, (4, 9), generator=torch.Generator().manual_seed(8))
LINKS: dict[str, tuple[Processor, Callable[[], Any]]] = {
    "bias": (
        processors.SequenceBias((((3,), 2.5), ((4, 7), -4.0), ((1,) * 20, 9.0))),
        lambda: theirs.SequenceBiasLogitsProcessor([[[3], 2.5], [[4, 7], -4.0], [[1] * 20, 9.0]]),
    ),
    "bad words": (
        processors.SequenceBias((((5,), processors.NEVER), ((6, 9), processors.NEVER))),
        lambda: theirs.NoBadWordsLogitsProcessor([[5], [6, 9]], 2),
    ),
    "repetition": (processors.RepetitionPenalty(1.4), lambda: theirs.RepetitionPenaltyLogitsProcessor(1.4)),
    "source": (processors.SourcePenalty(1.4), lambda: theirs.EncoderRepetitionPenaltyLogitsProcessor(1.4, SOURCE)),
    "1-grams": (processors.NoRepeatNgrams(1), lambda: theirs.NoRepeatNGramLogitsProcessor(1)),
    "2-grams": (processors.NoRepeatNgrams(2), lambda: theirs.NoRepeatNGramLogitsProcessor(2)),
    "3-grams": (processors.NoRepeatNgrams(3), lambda: theirs.NoRepeatNGramLogitsProcessor(3)),
    "2-grams of the source": (
        processors.NoRepeatNgrams(2, of_source=True),
        lambda: theirs.EncoderNoRepeatNGramLogitsProcessor(2, SOURCE),
    ),
    "least length": (processors.Forbid((2, 3), until=11), lambda: theirs.MinLengthLogitsProcessor(11, [2, 3])),
    "least new": (processors.Forbid((2,), until=PROMPT + 4), lambda: theirs.MinNewTokensLengthLogitsProcessor(PROMPT, 4, [2])),
    "never": (processors.Forbid((4, 8)), lambda: theirs.SuppressTokensLogitsProcessor([4, 8])),
    "not first": (processors.Forbid((4,), at=PROMPT), lambda: theirs.SuppressTokensAtBeginLogitsProcessor([4], PROMPT)),
    "first": (processors.Force((7,), at=1), lambda: theirs.ForcedBOSTokenLogitsProcessor(7)),
    "last": (processors.Force((2, 3), at=11), lambda: theirs.ForcedEOSTokenLogitsProcessor(12, [2, 3])),
    "longer": (
        processors.LongerEnds((2, 3), 1, 1.5),
        lambda: theirs.ExponentialDecayLengthPenalty((1, 1.5), [2, 3], PROMPT),
    ),
    "temperature": (filters.Temperature(0.7), lambda: theirs.TemperatureLogitsWarper(0.7)),
    "top k": (filters.TopK(5), lambda: theirs.TopKLogitsWarper(5)),
    "top k of two": (filters.TopK(1, 2), lambda: theirs.TopKLogitsWarper(1, min_tokens_to_keep=2)),
    "top p": (filters.TopP(0.6), lambda: theirs.TopPLogitsWarper(0.6)),
    "top p of three": (filters.TopP(0.1, 3), lambda: theirs.TopPLogitsWarper(0.1, min_tokens_to_keep=3)),
    "min p": (filters.MinP(0.3), lambda: theirs.MinPLogitsWarper(0.3)),
    "min p of two": (filters.MinP(0.99, 2), lambda: theirs.MinPLogitsWarper(0.99, min_tokens_to_keep=2)),
    "typical": (filters.Typical(0.5), lambda: theirs.TypicalLogitsWarper(0.5)),
    "typical of two": (filters.Typical(0.05, 2), lambda: theirs.TypicalLogitsWarper(0.05, min_tokens_to_keep=2)),
    "epsilon": (filters.Cutoff(0.05), lambda: theirs.EpsilonLogitsWarper(0.05)),
    "eta": (filters.Cutoff(0.2, eta=True), lambda: theirs.EtaLogitsWarper(0.2)),
}


def text(length: int, seed: int) -> Tensor:
    """Few tokens, so that n-grams repeat."""
    return torch.randint(0, 10, (4, length), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", LINKS)
def test_one_by_one(name: str) -> None:
    ours, build = LINKS[name]
    reference = build()
    for length in range(1, 14):
        for seed in range(8):
            ids = text(length, seed)
            scores = 3 * torch.randn(4, VOCAB, generator=torch.Generator().manual_seed(seed))
            scores[0, 3] = processors.NEVER  # something is forbidden already
            before = scores.clone()
            got = ours(Seen(ids, PROMPT, SOURCE), scores)
            assert torch.equal(scores, before)
            assert torch.allclose(got, reference(ids, scores.clone()), atol=1e-6)


def test_padding_is_no_text() -> None:
    ids = torch.tensor([[-1, -1, 4, 5, 4], [0, 0, 4, 5, 4]])
    scores = torch.ones(2, VOCAB)
    for link in (processors.RepetitionPenalty(2.0), processors.NoRepeatNgrams(2), processors.NoRepeatNgrams(1)):
        padded, plain = link(Seen(ids, 3), scores)
        alone = link(Seen(ids[:1, 2:], 1), scores[:1])[0]
        assert torch.equal(padded, alone)
        assert torch.equal(padded, plain) == (link == processors.NoRepeatNgrams(2))


def test_counts_are_of_what_was_written() -> None:
    """The formula of the two penalties: c * frequency + (c > 0) * presence."""
    link = processors.CountPenalty(presence=0.5, frequency=0.25)
    got = link(Seen(torch.tensor([[7, 7, 3, 3, 4]]), prompt=2), torch.zeros(1, VOCAB))[0]
    assert (got[7], got[3], got[4], got[5]) == (0.0, -1.0, -0.75, 0.0)


def test_the_order_is_theirs() -> None:
    """Several at once, in the order in which `transformers` puts them: bans, then temperature, then top k before top p."""
    asked = Settings(
        do_sample=True, temperature=0.5, top_k=6, top_p=0.7, min_p=0.05, repetition_penalty=1.2, bad_words_ids=((2,), (5,)),
        eos_token_id=2, min_new_tokens=3, no_repeat_ngram_size=2,
    )  # fmt: skip
    chain = chain_of(asked, prompt=PROMPT, longest=20)
    config = theirs.LogitsProcessorList([
        theirs.RepetitionPenaltyLogitsProcessor(1.2), theirs.NoRepeatNGramLogitsProcessor(2),
        theirs.NoBadWordsLogitsProcessor([[2], [5]], 2), theirs.MinNewTokensLengthLogitsProcessor(PROMPT, 3, [2]),
        theirs.TemperatureLogitsWarper(0.5), theirs.TopKLogitsWarper(6), theirs.TopPLogitsWarper(0.7),
        theirs.MinPLogitsWarper(0.05),
    ])  # fmt: skip
    for length in range(PROMPT, 14):
        ids, scores = text(length, length), torch.randn(4, VOCAB, generator=torch.Generator().manual_seed(length))
        assert torch.allclose(chain(Seen(ids, PROMPT), scores), config(ids, scores.clone()))
