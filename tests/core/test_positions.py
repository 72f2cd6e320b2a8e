"""Position schemes that no family of today uses, or that hold by their own laws."""

from __future__ import annotations

import math
from typing import Any

import torch

from maskfork.core.batch import Places
from maskfork.core.positions.alibi import AlibiPositions, slopes
from maskfork.core.positions.rotary import Linear, Rotary, RotaryPositions
from maskfork.core.positions.sinusoidal import Sinusoidal, SinusoidalPositions


def test_rotary_depends_on_distance_alone() -> None:
    """q.k after turning is a function of the distance, pairs keep their length, and what is not turned stays."""
    g = torch.Generator().manual_seed(0)
    q, k = torch.randn(1, 1, 2, 8, generator=g).double(), torch.randn(1, 1, 2, 8, generator=g).double()
    for spec in (Rotary(100.0), Rotary(100.0, interleaved=True), Rotary(share=0.5), Rotary(scaling=Linear(3.0))):
        scheme = RotaryPositions(spec, 8)

        def dot(p: int, r: int, scheme: RotaryPositions = scheme) -> torch.Tensor:
            a, _ = scheme.rotate(q, q, torch.tensor([[p]]), {})
            _, b = scheme.rotate(k, k, torch.tensor([[r]]), {})
            torch.testing.assert_close(a.norm(), q.norm(), atol=1e-5, rtol=0)
            return (a * b).sum(-1)

        torch.testing.assert_close(dot(9, 4), dot(25, 20), atol=1e-4, rtol=1e-4)
        assert (dot(9, 4) - dot(9, 5)).abs().max() > 1e-3
        turned, _ = scheme.rotate(q, k, torch.tensor([[7]]), {})
        assert torch.equal(turned[..., scheme.size :], q[..., scheme.size :])
        still, _ = scheme.rotate(q, k, torch.tensor([[0]]), {})
        torch.testing.assert_close(still, q)


def test_rotary_pairs() -> None:
    """Neighbours or halves: the same turn in another order."""
    q = torch.randn(1, 3, 1, 6)
    at = torch.tensor([[0, 5, 11]])
    mixed = [0, 3, 1, 4, 2, 5]  # halves -> neighbours
    halves, _ = RotaryPositions(Rotary(), 6).rotate(q, q, at, {})
    neighbours, _ = RotaryPositions(Rotary(interleaved=True), 6).rotate(q[..., mixed], q[..., mixed], at, {})
    torch.testing.assert_close(neighbours, halves[..., mixed])


def test_alibi() -> None:
    assert slopes(8) == [2.0**-i for i in range(1, 9)]  # the paper's
    assert slopes(3) == [2.0**-4, 2.0**-8, 2.0**-2]
    at = torch.tensor([[0, 1, 2]])
    layer: Any = None
    q = torch.zeros(1, 3, 8, 2)
    bias = AlibiPositions(8).logits(q, q, Places(at, at), layer, {})
    assert bias.shape == (1, 8, 3, 3)
    assert bias[0, 0].tolist() == [[0, -0.5, -1], [-0.5, 0, -0.5], [-1, -0.5, 0]]


def test_sinusoidal() -> None:
    """PE(p, 2i) = sin(p / 10000^(2i/E)), PE(p, 2i+1) = cos of the same."""
    x = torch.zeros(1, 4, 6)
    got = SinusoidalPositions(Sinusoidal()).embed(x, torch.arange(4)[None])[0]
    halves = SinusoidalPositions(Sinusoidal(halves=True)).embed(x, torch.arange(4)[None])[0]
    for p in range(4):
        for i in range(3):
            angle = p / 10000 ** (2 * i / 6)
            assert math.isclose(float(got[p, 2 * i]), math.sin(angle), abs_tol=1e-6)
            assert math.isclose(float(got[p, 2 * i + 1]), math.cos(angle), abs_tol=1e-6)
            assert float(halves[p, i]) == float(got[p, 2 * i])
            assert float(halves[p, 3 + i]) == float(got[p, 2 * i + 1])
