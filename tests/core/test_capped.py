"""Attention with capped logits, in blocks: the definition's numbers and gradients, and no more computed than may be read."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfork import Causal, Full, Window
from maskfork.core.batch import Batch
from maskfork.core.kernels import capped
from maskfork.core.kernels.capped import capped_attention, spans_of
from maskfork.core.kernels.choose import KERNELS, choose
from maskfork.core.kernels.contract import Ask, Plan, Refusal
from tests.core.oracle import RULES, attend, tensors, world

LAYOUTS = ("none", "right", "left", "holes", "packed", "left+cache")


@pytest.mark.parametrize("kernel", ["capped", "varlen", "reference"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("rule", list(RULES))
def test_equals_the_definition(rule: str, layout: str, kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capped, "BLOCK", 2)
    w = world(RULES[rule], layout, softcap=1.5)
    plan = KERNELS[kernel].plan(w.ask)
    if kernel == "varlen" and isinstance(plan, Refusal):
        assert "cap" not in plan.reason
        return
    assert isinstance(plan, Plan)
    exact = tensors(w)[:3]
    kept = w.kept[..., None, None]
    truth = attend(w, *exact, None) * kept
    weights = torch.randn(truth.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (truth * weights).sum().backward()  # type: ignore[no-untyped-call]
    given = [x.detach().float().requires_grad_() for x in exact]
    out = plan.run(*given, None)[0] * kept
    torch.testing.assert_close(out.double(), truth, atol=2e-6, rtol=2e-5)
    (out * weights.float()).sum().backward()  # type: ignore[no-untyped-call]
    for mine, true in zip(given, exact, strict=True):
        assert mine.grad is not None
        assert true.grad is not None
        torch.testing.assert_close(mine.grad.double(), true.grad, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("heads", [1, 4])
def test_gradient_against_differences(heads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float64, with queries that may read nothing and heads of different rules."""
    monkeypatch.setattr(capped, "BLOCK", 4)
    generator = torch.Generator().manual_seed(0)
    made = [torch.randn(2, 9, h, 5, dtype=torch.float64, generator=generator, requires_grad=True) for h in (4, 2, 2)]
    allowed = torch.rand(2, heads, 9, 9, generator=generator) > 0.5
    allowed[0, :, 3] = allowed[1, -1, 5] = False
    spans = spans_of(allowed)

    def run(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return capped_attention(q, k, v, allowed, spans, 0.7, 1.3)

    assert torch.autograd.gradcheck(run, made)
    assert bool((run(*made)[0, 3] == 0).all())


def test_only_what_may_be_read_is_computed() -> None:
    causal, window = (spans_of(rule.matrix(256)) for rule in (Causal(), Causal() & Window(9, 0)))
    assert [(q.start, q.stop, k.start, k.stop) for q, k in causal] == [
        (0, 64, 0, 64), (64, 128, 0, 128), (128, 192, 0, 192), (192, 256, 0, 256)
    ]  # fmt: skip
    assert [(k.start, k.stop) for _, k in window] == [(0, 64), (55, 128), (119, 192), (183, 256)]
    assert spans_of(torch.zeros(1, 1, 70, 70, dtype=torch.bool)) == []


def test_half_precision_is_computed_in_single() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, 7, h, 8, generator=generator).bfloat16() for h in (4, 2, 2))
    allowed = Causal().matrix(7)
    wide = capped_attention(q.float(), k.float(), v.float(), allowed, spans_of(allowed), 0.3, 2.0)
    half = capped_attention(q, k, v, allowed, spans_of(allowed), 0.3, 2.0)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, wide.bfloat16(), atol=0, rtol=0)


def test_who_takes_it() -> None:
    def ask(batch: Batch, **more: object) -> Ask:
        return Ask(rule=Full(), queries=batch, keys=batch, heads=2, kv_heads=2, scale=1.0, softcap=2.0, **more)  # type: ignore[arg-type]

    padded, packed = Batch.padded(torch.ones(2, 5, dtype=torch.long)), Batch.packed([[1, 2], [3]])
    assert choose(ask(padded))[0].kernel == "capped"
    assert choose(ask(packed))[0].kernel == "varlen"
    for more in ({"weights": True}, {"bias": True}, {"dropout": 0.1}):
        assert choose(ask(padded, **more))[0].kernel == choose(ask(packed, **more))[0].kernel == "reference"
    plain = Ask(rule=Full(), queries=padded, keys=padded, heads=2, kv_heads=2, scale=1.0)
    assert isinstance(KERNELS["capped"].plan(plain), Refusal)
