"""Dropout, norms and low precision."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import binom

from maskfork.core.dropout import Dropout, keep_mask
from maskfork.core.parts import RMSNorm, activation, norm
from maskfork.core.spec import NormSpec
from maskfork.errors import ModelError
from maskfork.models.hub import build

TINY = {"model_type": "bert", "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 40, "max_position_embeddings": 32}  # fmt: skip


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
def test_rate_and_expectation(p: float) -> None:
    torch.manual_seed(0)
    n = 400_001  # not a multiple of four
    kept = keep_mask(torch.empty(n), p)
    values = kept.unique()
    torch.testing.assert_close(values, torch.tensor([0.0, 1 / (1 - p)]))
    dropped = int((kept == 0).sum())
    assert binom.ppf(1e-6, n, p) <= dropped <= binom.ppf(1 - 1e-6, n, p)
    assert abs(float(kept.double().mean()) - 1) < 5 * (p / (1 - p) / n) ** 0.5
    # neighbours, four of which come from one draw, are independent
    lost = (kept == 0).double()
    for lag in (1, 2, 3, 4):
        both = float((lost[:-lag] * lost[lag:]).mean())
        assert abs(both - p * p) < 6 * (p * p / n) ** 0.5


def test_module() -> None:
    drop = Dropout(0.3)
    x = torch.randn(5, 7, dtype=torch.bfloat16)
    assert drop.eval()(x) is x
    assert Dropout(0.0).train()(x) is x
    torch.manual_seed(1)
    a = drop.train()(x)
    torch.manual_seed(1)
    assert torch.equal(a, drop(x))
    assert a.dtype == x.dtype
    assert not torch.equal(a, drop(x))
    wide = torch.randn(64, 3).t()  # not contiguous
    assert drop(wide).shape == wide.shape


def step(seed: int) -> list[torch.Tensor]:
    model = build(TINY, "masked_lm", seed=4).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(seed)
    for _ in range(3):
        ids = torch.randint(0, 50, (4, 9))
        logits = model(ids, torch.ones(4, 9)).logits
        assert logits is not None
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids.flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return [p.detach() for p in model.parameters()]


def test_two_runs_of_one_seed_are_one_run() -> None:
    first, again, other = step(1), step(1), step(2)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, other, strict=True))


def test_low_precision_is_close() -> None:
    ids = torch.randint(0, 50, (3, 12), generator=torch.Generator().manual_seed(0))
    for kind in ({}, {"model_type": "llama", "num_key_value_heads": 2}):
        model = build({**TINY, **kind}, seed=1)
        with torch.no_grad():
            exact = model(ids).last_hidden_state
            low = build({**TINY, **kind}, seed=1).bfloat16()(ids).last_hidden_state
        assert low.dtype == torch.bfloat16
        assert (low.float() - exact).norm() / exact.norm() < 0.02


def test_rms_norm_in_low_precision() -> None:
    norm = RMSNorm(64, 1e-6)
    x = 1000 * torch.randn(3, 64)
    torch.testing.assert_close(norm.half()(x.half()).float(), norm.float()(x), atol=0.01, rtol=0.01)


def test_activation_by_name() -> None:
    with pytest.raises(ModelError, match=r"activation 'geluu' is not known: config\.json may name gelu"):
        activation("geluu")


@pytest.mark.parametrize("offset", [False, True])
def test_the_written_out_gradient_of_rms_norm(offset: bool) -> None:
    """In double precision against torch's own, and against finite differences."""
    torch.manual_seed(0)
    module = norm(NormSpec("rms", 1e-5, plus_one=offset), 6).double()
    with torch.no_grad():
        module.weight.add_(torch.randn(6))
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64, requires_grad=True)
    weight = module.weight + 1 if offset else module.weight
    theirs = torch.nn.functional.rms_norm(x, (6,), weight, 1e-5)
    torch.testing.assert_close(module(x), theirs)
    given = torch.randn_like(theirs)
    for ours, other in zip(
        torch.autograd.grad(module(x), (x, module.weight), given),
        torch.autograd.grad(theirs, (x, module.weight), given),
        strict=True,
    ):
        torch.testing.assert_close(ours, other)
    with torch.no_grad():
        torch.testing.assert_close(module(x), theirs)
    assert torch.autograd.gradcheck(module, (x,))
