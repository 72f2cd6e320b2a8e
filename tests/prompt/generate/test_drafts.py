"""Guessing ahead changes the speed and nothing else: greedy texts token for token, drawn ones in their distribution."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency

from maskfork import Model, generate
from maskfork.errors import UsageError
from maskfork.models.hub import build
from tests.models.theirs import Case, pad, saved, sequences, writers
from tests.prompt.generate.test_like_transformers import MANY, usable
from tests.prompt.generate.test_write import GPT, made


@pytest.fixture(scope="module")
def gpt() -> Model:
    return made(GPT)


@pytest.fixture(scope="module")
def other() -> Model:
    return made({**GPT, "n_layer": 1}, seed=3)


@pytest.fixture(scope="module")
def like() -> Model:
    """Nearly the same model: most of its guesses are right."""
    model = made(GPT)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) * 0.02)
    return model


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ends": dict(eos_token_id=[1, 3, 7, 11, 30]),
    "penalties": dict(repetition_penalty=1.3, no_repeat_ngram_size=3, min_new_tokens=6, eos_token_id=[1, 3, 7]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("who", ["like", "other", 1, 2, 4])
def test_greedy_token_for_token(gpt: Model, way: str, who: str | int, request: pytest.FixtureRequest) -> None:
    draft = who if isinstance(who, int) else request.getfixturevalue(who)
    generator = torch.Generator().manual_seed(7)
    lists = [torch.randint(2, 40, (n,), generator=generator).tolist() for n in (3, 9, 1, 6, 12)]
    ids, mask = pad(lists, "left")
    plain = generate(gpt, ids, mask, max_new_tokens=18, **WAYS[way])
    heard: list[list[int]] = [[] for _ in lists]
    told = generate(
        gpt, ids, mask, max_new_tokens=18, draft=draft, on_tokens=lambda new: [heard[r].append(t) for r, t in new], **WAYS[way]
    )
    assert told.new == plain.new == heard
    assert told.reasons == plain.reasons
    assert torch.equal(told.ids, plain.ids)
    assert told.drafted is not None
    if who == "like" and way == "plain":
        assert told.drafted.rate > 0.3
        assert told.drafted.passes < 0.8 * sum(map(len, plain.new))


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(c, id=str(c)) for c in writers(("gpt2", "llama", "gemma2", "qwen2")) if usable(c)])
def test_two_hundred_prompts_of_every_decoder(case: Case, tmp_path: Any) -> None:
    from maskfork import load

    saved(case, tmp_path)
    model, draft = load(tmp_path), load(tmp_path)
    for seed in range(25):
        lengths = torch.randint(1, 14, (8,), generator=torch.Generator().manual_seed(seed)).tolist()
        ids, mask = pad(sequences(case, tuple(lengths), seed), "left")
        plain = generate(model, ids, mask, max_new_tokens=12, eos_token_id=MANY)
        for one in (draft, 2):
            assert generate(model, ids, mask, max_new_tokens=12, eos_token_id=MANY, draft=one).new == plain.new


DRAFTS = [("like", 300), *(pytest.param(who, 4000, marks=pytest.mark.slow) for who in ("like", "other", 1))]


@pytest.mark.parametrize(("who", "count"), DRAFTS)
def test_drawn_tokens_keep_their_distribution(gpt: Model, who: str | int, count: int, request: pytest.FixtureRequest) -> None:
    """Three tokens, with guesses and without, as often as each other (chi-square over the commonest texts)."""
    draft = who if isinstance(who, int) else request.getfixturevalue(who)
    ids = torch.tensor([[5, 9, 5, 9, 5]])
    asked = dict(max_new_tokens=3, do_sample=True, temperature=2.0, top_k=4, eos_token_id=39)
    plain = generate(gpt, ids, seed=11, num_return_sequences=4 * count, **asked).ids[:, 5:]
    told = generate(gpt, ids, seed=12, num_return_sequences=count, draft=draft, **asked)
    tables = [np.bincount((x * torch.tensor([1600, 40, 1])).sum(1).numpy(), minlength=64000) for x in (plain, told.ids[:, 5:])]
    common = (tables[0] + tables[1]) >= 30
    table = np.array([[*t[common], t[~common].sum()] for t in tables])
    assert common.sum() >= 4
    assert chi2_contingency(table[:, table.sum(0) > 0]).pvalue > 0.001
    assert told.drafted is not None
    assert 0 < told.drafted.kept < told.drafted.guessed


def test_what_cannot_guess(gpt: Model, like: Model) -> None:
    ids = torch.tensor([[5, 9]])
    t5 = {"model_type": "t5", "vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    for asked, words in (
        (dict(draft=build({**GPT, "vocab_size": 41}, "causal_lm")), "another vocabulary"),
        (dict(draft=build({**t5, "decoder_start_token_id": 0}, "causal_lm")), "t5 is no decoder"),
        (dict(draft=0), "at least the last token"),
        (dict(draft=like, num_beams=2), "leave beams or the guesses out"),
    ):
        with pytest.raises(UsageError, match=words):
            generate(gpt, ids, **asked)


def test_guesses_up_to_the_last_position(gpt: Model, like: Model) -> None:
    ids = torch.tensor([[5] * 20])
    plain = generate(gpt, ids, max_new_tokens=50, eos_token_id=39)
    for draft in (like, 2):
        told = generate(gpt, ids, max_new_tokens=50, eos_token_id=39, draft=draft)
        assert (told.new, told.reasons) == (plain.new, ["positions"])
