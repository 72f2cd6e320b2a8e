"""Long sequences in pieces: the definition's numbers and gradients for every rule whose reach is known, a refusal otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from maskfork import Causal, Full, Mask, Permutation, Prefix, Window
from maskfork.core.batch import Batch, Places
from maskfork.core.kernels.banded import is_long
from maskfork.core.kernels.choose import KERNELS, choose
from maskfork.core.kernels.contract import Ask, Plan, Refusal
from maskfork.core.kernels.reach import reach
from maskfork.core.mask import Chunk, Marked
from maskfork.core.mask_blocks import Blocks
from maskfork.errors import KernelRefused

LENGTHS = (150, 1, 77)
RULES = {
    "window": Window(5, 3),
    "itself": Window(0, 0),
    "sliding": Causal() & Window(70, 0),
    "marked": Window(4, 4) | Marked(),
    "chunk": Chunk(7),
    "blocks": Blocks(4, 1),
    "mixed": (Chunk(30) & Window(3, 3)) | Marked(),
    "narrowed": (Window(4, 4) | Marked()) & Causal(),
    "nobody": Window(2, 0) & Window(0, 2) & Permutation(torch.arange(150), itself=False),
}  # fmt: skip
NEAR = dict(atol=2e-5, rtol=2e-4)


def batch_of(layout: str, types: bool = False) -> Batch:
    keep, marks = torch.zeros(3, 150, dtype=torch.long), torch.zeros(3, 150, dtype=torch.bool)
    for row, n in enumerate(LENGTHS):
        first = 150 - n if layout == "left" else 0
        keep[row, first : first + n] = 1
        marks[row, [first, first + n // 2]] = True
    batch = Batch.padded(torch.zeros_like(keep), keep, torch.arange(150).expand(3, -1) % 2 if types else None, marks)
    return batch.pack() if layout == "packed" else batch


def outputs(ask: Ask, kernel: str, bias: bool) -> tuple[Tensor, ...]:
    """The output at tokens that are no padding, and the gradients of q, k, v and the bias's table."""
    batch, g = ask.keys, torch.Generator().manual_seed(0)
    rows, width = batch.shape
    q, k, v, table = (
        torch.randn(*shape, generator=g).requires_grad_()
        for shape in ((rows, width, 4, 8), (rows, width, 2, 8), (rows, width, 2, 8), (4, 16))
    )

    def added(q: Tensor, k: Tensor, at: Places) -> Tensor:
        assert at.lengths is not None
        assert at.query_types is not None
        assert at.key_types is not None
        distance = (at.queries[:, :, None] - at.keys[:, None, :]).clamp(-7, 7) + 8
        content = q[..., 0].permute(0, 2, 1)[..., None] * k[..., 1].permute(0, 2, 1)[..., None, :]
        alike = (at.query_types[:, :, None] == at.key_types[:, None, :])[:, None]
        return table[:, distance].transpose(0, 1) + content * at.lengths[:, None, :, None] * 1e-3 + alike

    plan = KERNELS[kernel].plan(ask)
    assert isinstance(plan, Plan), plan
    there = batch.keep if batch.keep is not None else batch.segments >= 0  # type: ignore[operator]
    out = plan.run(q, k, v, added if bias else None)[0] * there[..., None, None]
    (out * torch.arange(out.numel()).sin().view_as(out)).sum().backward()  # type: ignore[no-untyped-call]
    return out, *(torch.zeros_like(x) if x.grad is None else x.grad for x in (q, k, v, table))


@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("layout", ["right", "left", "packed"])
@pytest.mark.parametrize("rule", list(RULES))
def test_equals_the_definition(rule: str, layout: str, bias: bool) -> None:
    batch = batch_of(layout, types=True)
    ask = Ask(RULES[rule], batch, batch, 4, 2, 0.5, bias=bias, grad=True)
    for mine, true in zip(outputs(ask, "banded", bias), outputs(ask, "reference", bias), strict=True):
        torch.testing.assert_close(mine, true, **NEAR)


@pytest.mark.parametrize("rule", list(RULES))
def test_reach_promises_enough(rule: str) -> None:
    """Nothing is allowed outside the band, unless one of the two reaches beyond."""
    batch = Batch.padded(torch.zeros(1, 150, dtype=torch.long), marks=(torch.arange(150) % 60 == 0)[None])
    far = reach(RULES[rule], batch)
    assert far.before is not None
    assert far.after is not None
    q, k = torch.arange(150)[:, None], torch.arange(150)[None]
    inside = (q - k <= far.before) & (k - q <= far.after)
    if far.beyond is not None:
        inside |= far.beyond[0][:, None] | far.beyond[0][None]
    assert not bool((batch.bind(RULES[rule]).matrix(150)[0, 0] & ~inside).any())


@pytest.mark.parametrize("rule", [Full(), Causal(), Window(None, 3), Prefix(4) & Causal(), Window(1, 1) | Causal()], ids=str)
def test_no_limit(rule: Mask) -> None:
    batch = batch_of("right")
    answer = KERNELS["banded"].plan(Ask(rule, batch, batch, 4, 2, 0.5))
    assert isinstance(answer, Refusal)
    assert "looks over the whole sequence" in answer.reason


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"weights": True}, "does not give the attention weights"),
        ({"softcap": 3.0}, "cannot cap the logits"),
        ({"offset": 3}, "not the tokens of one batch"),
        ({"rule": Blocks(4, 1).in_training()}, "looks over the whole sequence"),
        ({"keys": batch_of("left")}, "not the tokens of one batch"),
    ],
)
def test_refusals(more: dict[str, Any], reason: str) -> None:
    batch = batch_of("right")
    with pytest.raises(KernelRefused, match=f"the banded kernel refuses .*{reason}.*use kernel='auto'"):
        choose(replace(Ask(Window(3, 3), batch, batch, 4, 2, 0.5), **more), "banded")
    holes = Batch.padded(torch.zeros(1, 4, dtype=torch.long), torch.tensor([[1, 0, 1, 1]]))
    answer = KERNELS["banded"].plan(Ask(Window(1, 1), holes, holes, 4, 2, 0.5))
    assert isinstance(answer, Refusal)
    assert "holes" in answer.reason


def test_auto_takes_it_for_long_texts() -> None:
    def ask(rule: Mask, length: int, packed: bool = False) -> Ask:
        batch = Batch.packed([[0] * length, [0] * 9]) if packed else Batch.padded(torch.zeros(1, length, dtype=torch.long))
        return Ask(rule, batch, batch, 4, 4, 0.5)

    for packed in (False, True):
        assert choose(ask(Window(64, 64), 600, packed))[0].kernel == "banded"
        assert choose(ask(Window(64, 64), 400, packed))[0].kernel != "banded"
        assert not is_long(ask(Window(256, 256), 900, packed))
        assert not is_long(ask(Causal(), 4000, packed))
    plan, refused = choose(replace(ask(Window(8, 8), 600), weights=True))
    assert plan.kernel == "reference"
    assert [r.kernel for r in refused] == ["banded", "sdpa"]
