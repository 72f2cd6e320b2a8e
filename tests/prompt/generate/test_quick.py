"""The compiled pass writes what the model writes: in 32 bits token for token, in fewer as near as the bits allow."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from maskfork import Model, generate
from maskfork.errors import UsageError
from maskfork.models.hub import build
from maskfork.models.native import NativeDecoder, refusal
from tests.models.theirs import pad
from tests.prompt.generate.test_write import made

SMALL = {"vocab_size": 77, "hidden_size": 64, "intermediate_size": 192, "num_hidden_layers": 2, "max_position_embeddings": 256}
LLAMA = {"model_type": "llama", **SMALL, "bos_token_id": 0, "eos_token_id": 1}
MODELS: dict[str, dict[str, Any]] = {
    "gpt2": {
        "model_type": "gpt2",
        "vocab_size": 77,
        "n_embd": 64,
        "n_layer": 2,
        "n_head": 4,
        "n_positions": 200,
        "eos_token_id": 1,
    },
    "llama": {**LLAMA, "num_attention_heads": 4, "num_key_value_heads": 2},
    "qwen2": {**LLAMA, "model_type": "qwen2", "num_attention_heads": 2, "num_key_value_heads": 1},
}


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    plain = build(MODELS[request.param], "causal_lm", seed=0)
    with torch.no_grad():
        for p in plain.parameters():
            p.mul_(4.0) if p.dim() > 1 else p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(0)) * 0.1)
    return plain


def prompts() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return pad([torch.randint(2, 77, (n,), generator=generator).tolist() for n in (3, 90, 1, 17, 8, 5, 2, 64, 9)], "left")


WAYS: dict[str, dict[str, Any]] = {
    "greedy": {},
    "ends": dict(eos_token_id=[1, 5, 9, 30, 31, 32]),
    "drawn": dict(do_sample=True, seed=3, num_return_sequences=2),
    "beams": dict(num_beams=3, eos_token_id=[1, 5, 9, 30]),
}


@pytest.mark.parametrize("way", WAYS)
def test_token_for_token(model: Model, way: str) -> None:
    ids, mask = prompts()
    want = generate(model, ids, mask, max_new_tokens=20, **WAYS[way])
    got = generate(model, ids, mask, max_new_tokens=20, bits=32, **WAYS[way])
    assert (got.new, got.reasons) == (want.new, want.reasons)


@pytest.mark.parametrize(("bits", "error"), [(32, 1e-5), (16, 0.02), (8, 0.05)])
@torch.inference_mode()
def test_scores_in_fewer_bits(model: Model, bits: Any, error: float) -> None:
    """The distance from the model's logits, in their spread; in one pass of many tokens and token by token."""
    ids = torch.randint(2, 77, (1, 100), generator=torch.Generator().manual_seed(0))
    want = model(ids).logits
    assert want is not None
    native, slots = NativeDecoder(model, bits), torch.arange(100)
    stored, row = native.storage(1, 128), torch.zeros(100, dtype=torch.long)
    at_once = native.decode(ids[0], row, slots, slots, stored)
    stored = native.storage(1, 128)
    one_by_one = torch.cat([native.decode(ids[0, i : i + 1], row[:1], slots[i : i + 1], slots[:1], stored) for i in range(100)])
    for got in (at_once, one_by_one):
        assert float((got - want[0]).std() / want.std()) < error
    assert torch.equal(at_once, one_by_one)  # queries that read keys together sum as one does


def test_texts_of_one_batch_do_not_touch_each_other(model: Model) -> None:
    ids, mask = prompts()
    together = generate(model, ids, mask, max_new_tokens=15, bits=8).new
    alone = [
        generate(model, row[keep.bool()][None], max_new_tokens=15, bits=8).new[0] for row, keep in zip(ids, mask, strict=True)
    ]
    assert together == alone


@pytest.mark.parametrize("tokens", [3, 20])
def test_threads_change_nothing(model: Model, tokens: int) -> None:
    native, slots, row = NativeDecoder(model, 16), torch.arange(tokens), torch.zeros(tokens, dtype=torch.long)
    ids, was, found = torch.arange(2, tokens + 2), torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.append(native.decode(ids, row, slots, slots, native.storage(1, tokens)))
    finally:
        torch.set_num_threads(was)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_what_is_no_token(model: Model) -> None:
    with pytest.raises(UsageError, match="77 is no token of this model, which has 77"):
        generate(model, torch.tensor([[5, 77]]), bits=8)


def test_what_has_no_compiled_pass() -> None:
    narrow = made({**MODELS["llama"], "hidden_size": 32, "num_attention_heads": 4})
    assert refusal(narrow) == "its widths are no multiples of 64"
    with pytest.raises(UsageError, match="no quick decoding because its widths are no multiples of 64: leave bits out"):
        generate(narrow, torch.tensor([[5]]), bits=8)
    with pytest.raises(UsageError, match="leave guesses and contrastive search out, or bits"):
        generate(narrow, torch.tensor([[5]]), bits=8, draft=2)
    with pytest.raises(UsageError, match="32, 16 or 8 bits, not 4"):
        generate(narrow, torch.tensor([[5]]), bits=4)  # type: ignore[arg-type]
