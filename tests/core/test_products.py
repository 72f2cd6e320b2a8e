"""Attention by products, with its written-out gradient, against torch's own kernel."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from maskfork.core.dropout import keep_mask
from maskfork.core.kernels.products import BLOCK, LARGEST, by_products, pays
from maskfork.core.kernels.sdpa import attend, quickest


def given(length: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    torch.manual_seed(0)
    return [torch.randn(2, length, 3, 8, dtype=dtype).requires_grad_() for _ in range(3)]


def slopes(out: Tensor, inputs: list[Tensor]) -> tuple[Tensor, ...]:
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(out.dtype)
    return torch.autograd.grad((out * weights).sum(), inputs)


@pytest.mark.parametrize("length", [7, 2 * BLOCK, 2 * BLOCK + 37])
@pytest.mark.parametrize("rule", ["full", "causal", "bool", "added"])
def test_the_numbers_of_torchs_kernel(length: int, rule: str) -> None:
    inputs = given(length)
    mask: Tensor | None = None
    if rule == "bool":
        mask = (torch.rand(1, 1, length, length) < 0.5) | torch.eye(length).bool()
        mask = mask.expand(2, -1, -1, -1)
    if rule == "added":
        mask = torch.randn(2, 3, length, length, dtype=torch.float64).requires_grad_()
        inputs.append(mask)
    ours = by_products(*inputs[:3], mask, 0.3, 0.0, causal=rule == "causal")
    theirs = attend(*inputs[:3], mask, 0.3, 0.0, causal=rule == "causal")
    torch.testing.assert_close(ours, theirs)
    for mine, true in zip(slopes(ours, inputs), slopes(theirs, inputs), strict=True):
        torch.testing.assert_close(mine, true)


@pytest.mark.parametrize("causal", [False, True])
def test_dropout_is_that_of_the_mask_that_was_drawn(causal: bool) -> None:
    """The same dice give the same mask, by which the definition is multiplied."""
    length = 21
    inputs = given(length)
    torch.manual_seed(3)
    ours = by_products(*inputs, None, 0.3, 0.25, causal=causal)
    torch.manual_seed(3)
    keep = keep_mask(torch.empty(6, length, length, dtype=torch.float64), 0.25).view(2, 3, length, length)
    q, k, v = (x.transpose(1, 2) for x in inputs)
    scores = 0.3 * q @ k.mT
    if causal:
        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), float("-inf"))
    theirs = ((scores.softmax(-1) * keep) @ v).transpose(1, 2)
    torch.testing.assert_close(ours, theirs)
    for mine, true in zip(slopes(ours, inputs), slopes(theirs, inputs), strict=True):
        torch.testing.assert_close(mine, true)


def test_bf16_is_no_further_from_the_truth_than_torchs_kernel() -> None:
    exact = given(96)
    truth = slopes(attend(*exact, None, 0.35, 0.0, causal=True), exact)
    low = [x.detach().bfloat16().requires_grad_() for x in exact]
    ours = slopes(by_products(*low, None, 0.35, 0.0, causal=True), low)
    theirs = slopes(attend(*low, None, 0.35, 0.0, causal=True), low)
    for mine, other, true in zip(ours, theirs, truth, strict=True):
        assert (mine - true).norm() < 1.5 * (other - true).norm()
        assert (mine - true).norm() < 0.02 * true.norm()


def test_when_it_is_taken() -> None:
    q, k, _ = given(8, torch.float32)
    assert pays(q, k, None, 0.1)
    assert pays(q.bfloat16(), k.bfloat16(), None, 0.0)
    assert not pays(q, k, None, 0.0)  # float32 without dropout: torch's kernel is as quick and keeps less
    assert not pays(q.detach(), k.detach(), None, 0.1)
    long = torch.empty(1, LARGEST // 8, 1, 1).requires_grad_()
    assert not pays(long, long, None, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        assert pays(q, k, None, 0.0)
        out = quickest(*given(8, torch.float32), None, 0.3, 0.0, causal=False)
    assert out.dtype == torch.bfloat16
    with torch.no_grad():
        assert not pays(q, k, None, 0.1)
