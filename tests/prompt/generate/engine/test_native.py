"""The engine over the compiled pass: texts that come and go get the tokens that `generate` writes in as many bits."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from maskfork import Model
from maskfork.errors import UsageError
from maskfork.models.native import NativeDecoder
from maskfork.prompt.generate.engine import Engine
from tests.prompt.generate.engine.test_engine import WAYS, alone, come_and_go, heard
from tests.prompt.generate.test_quick import MODELS, model
from tests.prompt.generate.test_write import made

__all__ = ["model"]
LONG: dict[str, Any] = dict(max_new_tokens=30, min_new_tokens=30)
SHAPES: list[dict[str, int]] = [{}, dict(rows=3, pages=9, page_size=8, piece=5), dict(rows=4, page_size=1, pages=90)]


def jobs() -> list[tuple[list[int], dict[str, Any]]]:
    rng = random.Random(3)
    opening = [rng.randrange(2, 77) for _ in range(40)]
    return [
        (
            [*opening[: rng.choice([0, 9, 40])], *(rng.randrange(2, 77) for _ in range(rng.randint(1, 12)))],
            {"max_new_tokens": rng.randint(1, 15), **WAYS[i % len(WAYS)]},
        )
        for i in range(20)
    ]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("bits", [8, 32])
def test_token_for_token(model: Model, bits: Any, shape: dict[str, int]) -> None:
    engine = Engine(model, bits=bits, **shape)
    tickets = come_and_go(engine, jobs(), seed=1)
    assert [heard(ticket) for ticket in tickets] == [alone(model, ids, bits=bits, **asked) for ids, asked in jobs()]
    assert engine.pages.shared > 100 or shape
    assert engine.pages.free == engine.pages.total  # type: ignore[attr-defined]


def test_texts_that_begin_alike_and_come_together_are_read_once(model: Model) -> None:
    engine, opening = Engine(model, bits=8, page_size=4), list(range(2, 32))
    tickets = [engine.submit([*opening, 40 + i], max_new_tokens=3) for i in range(5)]
    engine.finish()
    assert [ticket.shared for ticket in tickets] == [0, 28, 28, 28, 28]
    assert [heard(ticket) for ticket in tickets] == [alone(model, [*opening, 40 + i], max_new_tokens=3, bits=8) for i in range(5)]


def test_a_text_that_leaves_takes_nothing_with_it(model: Model) -> None:
    engine, opening = Engine(model, bits=8, page_size=4), list(range(2, 20))
    gone, stays = (engine.submit([*opening, i], **LONG) for i in (50, 51))
    for _ in range(6):
        engine.step()
    gone.cancel()
    late = engine.submit([*opening, 52, 53], **LONG)
    engine.finish()
    assert heard(gone)[1] is None
    assert heard(stays) == alone(model, [*opening, 51], bits=8, **LONG)
    assert heard(late) == alone(model, [*opening, 52, 53], bits=8, **LONG)


@torch.inference_mode()
def test_pages_hold_what_one_piece_holds(model: Model) -> None:
    """The same numbers, to the last bit, whatever pages a text lies in."""
    native, ids = NativeDecoder(model, 8), torch.arange(2, 52)
    slots, row = torch.arange(50), torch.zeros(50, dtype=torch.long)
    want = native.decode(ids, row, slots, slots, native.storage(1, 50))
    for page in (1, 7, 16):
        table = torch.randperm(60, generator=torch.Generator().manual_seed(0))[None, : -(-50 // page)]
        assert torch.equal(native.decode(ids, row, slots, slots, native.storage(60, page), table), want)


def test_what_is_no_token_stops_nobody(model: Model) -> None:
    engine = Engine(model, bits=8)
    ticket = engine.submit([5, 9], max_new_tokens=4)
    with pytest.raises(UsageError, match="77 is no token of this model, which has 77"):
        engine.submit([5, 77])
    engine.finish()
    assert heard(ticket) == alone(model, [5, 9], max_new_tokens=4, bits=8)


def test_what_has_no_compiled_pass() -> None:
    with pytest.raises(UsageError, match="no quick decoding because its widths are no multiples of 64"):
        Engine(made({**MODELS["llama"], "hidden_size": 32, "num_attention_heads": 4}), bits=8)
