"""Caches of every kind write what a growing one writes; eight bits come close, and how close is said here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import Model, generate, load
from maskfork.core.cache import Cache
from maskfork.core.cache_int8 import Int8Cache
from maskfork.core.cache_sliding import SlidingCache
from maskfork.errors import UsageError
from maskfork.models.hub import build
from tests.models.theirs import pad
from tests.prompt.generate.test_write import GPT, made

TINY = {"vocab_size": 60, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4}
TINY |= {"num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 1, "eos_token_id": 2}
WINDOWED: dict[str, dict[str, Any]] = {
    "mistral": {"model_type": "mistral", **TINY, "sliding_window": 5},
    "gemma2": {"model_type": "gemma2", **TINY, "head_dim": 8, "sliding_window": 4, "query_pre_attn_scalar": 8},
}


def windowed(name: str) -> Model:
    return made(WINDOWED[name]) if name == "mistral" else build(WINDOWED[name], "causal_lm", seed=0)


@pytest.mark.parametrize("name", WINDOWED)
@pytest.mark.parametrize("asked", [{}, {"num_beams": 3}, {"do_sample": True, "seed": 1}], ids=str)
def test_a_window_needs_no_more_than_itself(name: str, asked: dict[str, Any]) -> None:
    model = windowed(name)
    for prompts in ([[5, 9, 3]], [[5] * 30, [7, 8], [3, 4, 5, 6, 7, 8, 9, 10, 11]]):
        ids, mask = pad(prompts, "left")
        plain, slid = (generate(model, ids, mask, max_new_tokens=40, cache=kind, **asked) for kind in ("growing", "sliding"))
        assert torch.equal(plain.ids, slid.ids)


@torch.inference_mode()
def test_what_is_forgotten_is_given_back() -> None:
    model = windowed("mistral")
    cache, ids = SlidingCache(model.spec.main.masks), torch.randint(3, 60, (1, 300), generator=torch.Generator().manual_seed(0))
    logits = [model(part, cache=cache).logits for part in ids.split(10, dim=1)]
    whole = model(ids).logits
    assert whole is not None
    assert torch.allclose(torch.cat([x for x in logits if x is not None], dim=1), whole, atol=1e-4)
    plain = Cache()
    model(ids, cache=plain)
    assert cache.bytes < 0.2 * plain.bytes
    with pytest.raises(UsageError, match="has forgotten"):
        cache.crop(40)


@torch.inference_mode()
def test_eight_bits_in_a_quarter_of_the_memory() -> None:
    """Logits move by less than 1 % of their spread, whatever the passes."""
    model = made(GPT)
    ids = torch.randint(2, 40, (3, 30), generator=torch.Generator().manual_seed(0))
    want = model(ids).logits
    assert want is not None
    for size in (30, 7, 1):
        cache = Int8Cache(32)
        got = torch.cat([model(part, cache=cache).logits for part in ids.split(size, dim=1)], dim=1)
        assert float((got - want).std() / want.std()) < 0.01
        plain = Cache(32)
        model(ids, cache=plain)
        assert cache.bytes <= 0.25 * plain.bytes + cache.bytes / 8 * 4  # heads of 8 numbers: a scale weighs half of them


def test_stories_in_eight_bits(data_dir: Path) -> None:
    """A trained model writes the same story for a hundred tokens."""
    model = load(data_dir / "weights" / "stories260K" / "hf")
    plain, rounded = (generate(model, torch.tensor([[1]]), max_new_tokens=100, cache=kind).new[0] for kind in ("static", "int8"))
    assert plain == rounded


def test_no_such_cache() -> None:
    with pytest.raises(UsageError, match="there is no cache 'big': use growing, static, sliding, int8"):
        generate(made(GPT), torch.tensor([[5]]), cache="big")  # type: ignore[arg-type]
