"""Muon: its step is half-orthogonal, is torch's, and goes to the matrices inside the blocks alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from maskfork.learn.train.muon import Muon, hidden_matrices, orthogonal
from maskfork.learn.train.optimise import muon
from tests.learn.tiny import make


@pytest.mark.parametrize("shape", [(64, 64), (32, 128), (128, 32), (3, 48, 16)])
def test_all_singular_values_become_alike(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    made = orthogonal(torch.randn(shape))
    assert made.shape == shape
    values = torch.linalg.svdvals(made)
    square = shape[-1] == shape[-2]
    assert float(values.flatten().sort().values[1 if square else 0]) > 0.65  # a square one's smallest starts near zero
    assert float(values.max()) < 1.25


def test_the_directions_are_the_gradients_own() -> None:
    """The nearest half-orthogonal matrix is U V' of the singular value decomposition."""
    torch.manual_seed(1)
    g = torch.randn(24, 60)
    u, _, v = torch.linalg.svd(g, full_matrices=False)
    exact = u @ v
    made = orthogonal(g)
    assert float((made * exact).sum() / made.norm() / exact.norm()) > 0.98


def test_five_steps_are_torchs() -> None:
    torch.manual_seed(2)
    ours, theirs = nn.Parameter(torch.randn(48, 96)), nn.Parameter(torch.empty(48, 96))
    with torch.no_grad():
        theirs.copy_(ours)
    slopes = [torch.randn(48, 96) for _ in range(5)]
    mine = Muon([ours], 0.02, 0.1)
    other = torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw")
    start = ours.detach().clone()
    for slope in slopes:
        ours.grad, theirs.grad = slope.clone(), slope.clone()
        mine.step()
        other.step()
    moved, wanted = ours.detach() - start, theirs.detach() - start
    assert float((moved - wanted).norm() / wanted.norm()) < 0.02  # theirs multiplies in bf16


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
def test_matrices_inside_blocks_and_nothing_else(family: str) -> None:
    model = make(family, "masked_lm" if family == "bert" else "causal_lm")
    found, rows = hidden_matrices(model)
    assert all(".layers." in name and p.dim() == 2 for name, p in found.items())
    left = [n for n, p in model.named_parameters() if n not in found and p.dim() > 1]
    assert all("embed" in n or "positions" in n or n.startswith("head.") for n in left), left
    assert all(sum(heights) == p.shape[0] for p, heights in rows.items())
    both = muon(model, 1e-3, 0.01)
    taken = [p for part in both.parts for group in part.param_groups for p in group["params"]]
    assert len(taken) == len({id(p) for p in taken}) == len(list(model.parameters()))


def test_fused_matrices_step_one_by_one() -> None:
    torch.manual_seed(3)
    slope = torch.cat([torch.randn(16, 16) * 100, torch.randn(8, 16)])
    p = nn.Parameter(torch.zeros(24, 16))
    p.grad = slope
    Muon([p], 1.0, rows={p: (16, 8)}).step()
    parts = p.detach().split([16, 8])
    assert float(parts[0].norm() / parts[1].norm()) == pytest.approx(2**0.5, rel=0.15)  # not a hundred to one
