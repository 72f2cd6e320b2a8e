"""Perplexity against sums of the library's own log-probabilities, pseudo-perplexity against one mask at a time."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
import transformers

from maskfork import Model
from maskfork.errors import UsageError
from maskfork.measure.perplexity import check_ranking, perplexity, pseudo_perplexity
from tests.learn.tiny import make, sentences

TEXTS = [" ".join(sentences(12, 3)[0]), "the film was dull", "a"]


def theirs(model: Model, folder: Path, kind: str) -> torch.nn.Module:
    model.save(folder)
    auto = {"perplexity": transformers.AutoModelForCausalLM, "pseudo": transformers.AutoModelForMaskedLM}[kind]
    loaded: torch.nn.Module = auto.from_pretrained(folder).eval()
    return loaded


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@pytest.mark.parametrize("context", [8, 64])
@torch.no_grad()
def test_every_token_once_with_half_a_window_before_it(family: str, context: int, tmp_path: Path) -> None:
    model = make(family, "causal_lm").eval()
    reference = theirs(model, tmp_path, "perplexity")
    begin = model.tokenizer.special("bos")
    assert begin is not None
    total, count = 0.0, 0
    for text in TEXTS:
        ids = [begin, *model.tokenizer.encode(text, special=False)]
        for at in range(1, len(ids)):  # one token at a time, the window worked out by hand
            if at <= context:
                start = 0
            else:
                block = (at - context - 1) // (context // 2)
                start = max(0, min(context + (block + 1) * (context // 2), len(ids) - 1) - context)
            past = torch.tensor([ids[start:at]])
            total -= float(reference(past).logits[0, -1].log_softmax(-1)[ids[at]])
            count += 1
    found = perplexity(model, TEXTS, context=context)
    assert found.tokens == count
    assert found.loss == pytest.approx(total / count, rel=1e-4)
    assert found.value == pytest.approx(math.exp(total / count), rel=1e-4)
    assert found.bits_per_byte == pytest.approx(total / math.log(2) / sum(len(t.encode()) for t in TEXTS), rel=1e-4)
    assert found.context == context


@torch.no_grad()
def test_each_token_masked_in_turn(tmp_path: Path) -> None:
    model = make("bert", "masked_lm").eval()
    reference = theirs(model, tmp_path, "pseudo")
    mask = model.tokenizer.special("mask")
    total, count = 0.0, 0
    for text in TEXTS:
        bare = model.tokenizer.encode(text, special=False)
        for start in range(0, len(bare), 10):
            whole = model.tokenizer.encode("", special=True)
            ids = [whole[0], *bare[start : start + 10], whole[1]]
            for at in range(1, len(ids) - 1):
                asked = torch.tensor([ids])
                asked[0, at] = mask
                total -= float(reference(asked).logits[0, at].log_softmax(-1)[ids[at]])
                count += 1
    found = pseudo_perplexity(model, TEXTS, context=12)
    assert found.tokens == count
    assert found.loss == pytest.approx(total / count, rel=1e-4)
    assert found.bits_per_byte == pytest.approx(total / math.log(2) / sum(len(t.encode()) for t in TEXTS), rel=1e-4)


def test_an_untrained_model_knows_nothing() -> None:
    model = make("gpt2", "causal_lm", seed=2)
    with torch.no_grad():
        for p in model.parameters():
            p.zero_()
    assert perplexity(model, TEXTS).value == pytest.approx(model.spec.vocab_size, rel=1e-3)


def test_a_limit_counts_the_bytes_of_what_was_scored() -> None:
    model = make("gpt2", "causal_lm")
    found = perplexity(model, TEXTS, limit=7)
    assert found.tokens == 7
    offsets = model.tokenizer.offsets(TEXTS[0], special=False)
    assert found.size == len(TEXTS[0][: offsets[6][1]].encode())
    assert found.notes == ["the first 7 tokens alone were scored"]
    assert pseudo_perplexity(make("bert", "masked_lm"), TEXTS, limit=5).tokens == 5


def test_numbers_of_two_kinds_are_not_ranked() -> None:
    encoder, decoder, both = make("bert", "masked_lm"), make("gpt2", "causal_lm"), make("t5", "causal_lm")
    with pytest.raises(UsageError, match="both sides of every token, so it gives no probability of a text"):
        perplexity(encoder, TEXTS)
    with pytest.raises(UsageError, match="ask for its --perplexity"):
        pseudo_perplexity(decoder, TEXTS)
    with pytest.raises(UsageError, match="the probability of an answer to a text"):
        perplexity(both, TEXTS)
    with pytest.raises(UsageError, match=r"b and d cannot be ranked .* rank them on a task, with `maskfork compare`"):
        check_ranking([encoder, decoder], ["b", "d"])
    check_ranking([decoder, make("llama", "causal_lm")], ["a", "b"])
    with pytest.raises(UsageError, match="no token to score"):
        perplexity(decoder, [""])
    with pytest.raises(UsageError, match="the context is from 4 to 64"):
        perplexity(decoder, TEXTS, context=100)
