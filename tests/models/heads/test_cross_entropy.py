"""The loss without logits: torch's own value and gradients, whatever the rounds."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from maskfork.models.heads import cross_entropy
from maskfork.models.heads.cross_entropy import linear_cross_entropy


@pytest.mark.parametrize("softcap", [None, 3.0])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("room", [1, 4 * 301 * 5, 2**30])  # a row a round, five, all at once
def test_equals_torch(softcap: float | None, bias: bool, room: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "ROUND_BYTES", room)
    torch.manual_seed(0)
    x, weight = torch.randn(23, 16, dtype=torch.float64), torch.randn(301, 16, dtype=torch.float64)
    b = torch.randn(301, dtype=torch.float64) if bias else None
    targets = torch.randint(0, 301, (23,))
    leaves = [t.float().requires_grad_() if t is not None else None for t in (x, weight, b)]
    ours = linear_cross_entropy(*leaves, targets, softcap)  # type: ignore[arg-type]
    (3 * ours).backward()  # type: ignore[no-untyped-call]
    exact = [t.clone().requires_grad_() if t is not None else None for t in (x, weight, b)]
    logits = F.linear(*exact)  # type: ignore[arg-type]
    if softcap is not None:
        logits = torch.tanh(logits / softcap) * softcap
    theirs = F.cross_entropy(logits, targets)
    (3 * theirs).backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(ours.double(), theirs, atol=1e-5, rtol=1e-5)
    for mine, other in zip(leaves, exact, strict=True):
        if mine is not None and other is not None and mine.grad is not None and other.grad is not None:
            torch.testing.assert_close(mine.grad.double(), other.grad, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        again = linear_cross_entropy(*leaves, targets, softcap)  # type: ignore[arg-type]
    torch.testing.assert_close(again, ours.detach())


def test_under_autocast_gradients_keep_the_parameters_type() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(40, 32, requires_grad=True), torch.randn(500, 32, requires_grad=True)
    targets = torch.randint(0, 500, (40,))
    with torch.autocast("cpu", torch.bfloat16):
        loss = linear_cross_entropy(x, weight, None, targets)
    loss.backward()  # type: ignore[no-untyped-call]
    exact = F.cross_entropy(x.detach() @ weight.detach().t(), targets)
    assert abs(float(loss.detach() - exact)) < 0.05
    assert x.grad is not None
    assert x.grad.dtype == torch.float32
    assert weight.grad is not None
    assert weight.grad.dtype == torch.float32


def test_no_tensor_of_all_logits_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """The largest thing that it makes is one round."""
    monkeypatch.setattr(cross_entropy, "ROUND_BYTES", 8 * 2**20)
    x, weight = torch.randn(4000, 8, requires_grad=True), torch.randn(5000, 8, requires_grad=True)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Watch():
        linear_cross_entropy(x, weight, None, torch.randint(0, 5000, (4000,))).backward()  # type: ignore[no-untyped-call]
    assert largest <= cross_entropy.ROUND_BYTES // 4
    assert largest < x.shape[0] * weight.shape[0] // 5
