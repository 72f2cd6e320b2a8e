"""Texts that come and go at random get the tokens that each would get alone; beginnings are read once; pages run out."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
import torch

from maskfork import Model, generate, load
from maskfork.errors import UsageError
from maskfork.models.hub import build
from maskfork.prompt.generate.constraints import json_schema
from maskfork.prompt.generate.engine import Engine, Ticket
from tests.models.theirs import Case, saved, sequences, writers
from tests.prompt.generate.constraints.wild import wild
from tests.prompt.generate.test_caches import windowed
from tests.prompt.generate.test_like_transformers import MANY, usable
from tests.prompt.generate.test_write import GPT, made

__all__ = ["wild"]
WAYS: list[dict[str, Any]] = [
    {},
    dict(eos_token_id=[1, 3, 7, 11, 30]),
    dict(repetition_penalty=1.3, no_repeat_ngram_size=2, min_new_tokens=5, eos_token_id=[1, 3, 7]),
    dict(do_sample=True, temperature=2.0, seed=5),
    dict(do_sample=True, top_p=0.9, seed=6, repetition_penalty=1.2),
]


@pytest.fixture(scope="module")
def gpt() -> Model:
    return made({**GPT, "n_positions": 96})


def alone(model: Model, ids: list[int], **asked: Any) -> tuple[list[int], str]:
    told = generate(model, torch.tensor([ids]), **asked)
    return told.new[0], told.reasons[0]


def heard(ticket: Ticket) -> tuple[list[int], Any]:
    return [said.token for said in ticket.now()], ticket.reason


def come_and_go(engine: Engine, jobs: list[tuple[list[int], dict[str, Any]]], seed: int) -> list[Ticket]:
    """Requests arrive between steps, by lot."""
    rng, tickets = random.Random(seed), []
    for ids, asked in jobs:
        tickets.append(engine.submit(ids, **asked))
        for _ in range(rng.randint(0, 4)):
            engine.step()
    engine.finish()
    return tickets


@pytest.mark.parametrize(
    "shape", [dict(), dict(rows=2, pages=6, page_size=8, piece=5), dict(rows=3, page_size=1, pages=70)], ids=str
)
def test_token_for_token(gpt: Model, shape: dict[str, int]) -> None:
    rng = random.Random(3)
    opening = [rng.randrange(2, 40) for _ in range(20)]
    jobs = []
    for i in range(24):
        ids = [*opening[: rng.choice([0, 9, 20])], *(rng.randrange(2, 40) for _ in range(rng.randint(1, 9)))]
        jobs.append((ids, {"max_new_tokens": rng.randint(1, 15), **WAYS[i % len(WAYS)]}))
    engine = Engine(gpt, **shape)
    tickets = come_and_go(engine, jobs, seed=1)
    assert [heard(ticket) for ticket in tickets] == [alone(gpt, ids, **asked) for ids, asked in jobs]
    assert engine.pages.free == engine.pages.total  # all is given back
    if not shape:
        assert engine.pages.shared > 100


@pytest.mark.slow
@pytest.mark.parametrize("case", [pytest.param(c, id=str(c)) for c in writers(("gpt2", "llama", "gemma2", "qwen2")) if usable(c)])
def test_two_hundred_prompts_of_every_decoder(case: Case, tmp_path: Any) -> None:
    saved(case, tmp_path)
    model, rng = load(tmp_path), random.Random(0)
    lists = [ids for seed in range(25) for ids in sequences(case, tuple(rng.randint(1, 30) for _ in range(8)), seed)]
    jobs = [(ids, dict(max_new_tokens=12, eos_token_id=MANY)) for ids in lists]
    tickets = come_and_go(Engine(model, rows=7, page_size=4), jobs, seed=2)
    assert [heard(ticket) for ticket in tickets] == [alone(model, ids, **asked) for ids, asked in jobs]


@pytest.mark.parametrize("name", ["mistral", "gemma2"])
def test_windows(name: str) -> None:
    model, rng = windowed(name), random.Random(0)
    jobs = [([rng.randrange(3, 60) for _ in range(n)], dict(max_new_tokens=20)) for n in (3, 30, 11, 1)]
    tickets = come_and_go(Engine(model, page_size=4), jobs, seed=4)
    assert [heard(ticket) for ticket in tickets] == [alone(model, ids, **asked) for ids, asked in jobs]


def test_a_beginning_is_read_once(gpt: Model) -> None:
    engine, opening = Engine(gpt, page_size=4), list(range(2, 22))
    first = engine.submit([*opening, 30], max_new_tokens=3)
    engine.finish()
    second, third = engine.submit([*opening, 31, 32], max_new_tokens=3), engine.submit([9, *opening], max_new_tokens=3)
    engine.finish()
    assert (first.shared, second.shared, third.shared) == (0, 20, 0)
    assert heard(second)[0] == alone(gpt, [*opening, 31, 32], max_new_tokens=3)[0]


def test_pages_that_nobody_uses_make_room(gpt: Model) -> None:
    engine = Engine(gpt, pages=8, page_size=4)
    for i in range(10):
        ids = [2 + i] * 17
        ticket = engine.submit(ids, max_new_tokens=5)
        engine.finish()
        assert heard(ticket) == alone(gpt, ids, max_new_tokens=5)
    assert engine.pages.free == 8
    with pytest.raises(UsageError, match="may get 40 tokens and the pages hold 32"):
        engine.submit([5] * 10, max_new_tokens=30)


def test_a_cancelled_text_ends_and_the_others_go_on(gpt: Model) -> None:
    engine = Engine(gpt)
    gone, stays = engine.submit([5, 9], max_new_tokens=40), engine.submit([4, 4], max_new_tokens=12)
    for _ in range(5):
        engine.step()
    gone.cancel()
    engine.finish()
    assert 0 < len(heard(gone)[0]) < 12
    assert gone.reason is None
    assert heard(stays) == alone(gpt, [4, 4], max_new_tokens=12)


def test_a_cancelled_text_that_waits_leaves_its_place(gpt: Model) -> None:
    """Nobody is refused for it, and it gets no row that another waits for."""
    engine = Engine(gpt, rows=1, waiting=2)
    stays, gone = engine.submit([4, 4], max_new_tokens=12), engine.submit([5, 9], max_new_tokens=40)
    engine.step()
    gone.cancel()
    engine.step()
    assert (engine.waiting, gone.ended, gone.reason) == (0, True, None)
    engine.finish()
    assert heard(stays) == alone(gpt, [4, 4], max_new_tokens=12)
    assert heard(gone)[0] == []


def test_in_a_thread(gpt: Model) -> None:
    with Engine(gpt) as engine:
        tickets = [engine.submit([5, 9, i], max_new_tokens=9) for i in range(2, 12)]
        got = [ticket.tokens for ticket in tickets]
        late = engine.submit([7], max_new_tokens=60)
    assert got == [alone(gpt, [5, 9, i], max_new_tokens=9)[0] for i in range(2, 12)]
    assert len(late.tokens) <= 60  # who waits when the engine closes is let go
    full = Engine(gpt, waiting=1)
    full.submit([5])
    with pytest.raises(UsageError, match="1 requests are waiting"):
        full.submit([5])


def test_forms_and_log_probabilities(wild: Model, gpt: Model) -> None:
    engine = Engine(wild)
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
    tickets = [
        engine.submit([5, 9], form=json_schema(schema), max_new_tokens=14, do_sample=True, seed=i, top_k=0) for i in range(4)
    ]
    engine.finish()
    for ticket in tickets:
        tokens, reason = heard(ticket)
        assert isinstance(json.loads(wild.tokenizer.decode(tokens))["a"], int)
        assert reason in ("end", "closed")
    engine = Engine(gpt)
    ticket = engine.submit([5, 9, 3], max_new_tokens=4, logprobs=2)
    engine.finish()
    told = generate(gpt, torch.tensor([[5, 9, 3]]), max_new_tokens=4, logprobs=2)
    assert told.logprobs is not None
    assert [said.logprob for said in ticket.now()] == pytest.approx(told.logprobs[0], abs=1e-4)


def test_what_the_engine_does_not_do(gpt: Model) -> None:
    t5 = {"model_type": "t5", "vocab_size": 40, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 1, "num_heads": 2}
    with pytest.raises(UsageError, match="t5 is an encoder-decoder"):
        Engine(build({**t5, "decoder_start_token_id": 0}, "causal_lm"))
    with pytest.raises(UsageError, match="one line a request"):
        Engine(gpt).submit([5], num_beams=2)
