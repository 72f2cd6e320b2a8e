"""Position schemes that no family of today uses, or that hold by their own laws."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from maskfork.core.batch import Places
from maskfork.core.positions.alibi import AlibiPositions, slopes
from maskfork.core.positions.hooks import LENGTH
from maskfork.core.positions.rotary import (
    Dynamic,
    Linear,
    Llama3,
    LongRope,
    Proportional,
    Rotary,
    RotaryPositions,
    Scaling,
    Yarn,
)
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


SHORT, LONG = (1.0, 1.1, 1.3, 1.7, 2.0, 2.2, 3.0, 5.0), (1.5, 1.9, 2.3, 3.7, 5.0, 8.2, 13.0, 25.0)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64)
SCALINGS: list[tuple[Scaling, dict[str, Any]]] = [
    (Linear(3.0), dict(rope_type="linear", factor=3.0)),
    (Llama3(8.0, 1.0, 4.0, 64), dict(rope_type="llama3", **LLAMA3)),
    (Dynamic(2.5, 256), dict(rope_type="dynamic", factor=2.5)),
    (
        Yarn(4.0, 64, attention=0.1 * math.log(4) + 1),
        dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=64),
    ),
    (
        Yarn(8.0, 40, fast=8.0, slow=2.0, whole=False, attention=1.3),
        dict(rope_type="yarn", factor=8.0, original_max_position_embeddings=40, beta_fast=8.0, beta_slow=2.0, truncate=False,
             attention_factor=1.3),
    ),
    (Yarn(4.0, 1, attention=0.1 * math.log(4) + 1), dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=1)),
    (
        LongRope(SHORT, LONG, 64, attention=math.sqrt(1 + math.log(4) / math.log(64))),
        dict(rope_type="longrope", short_factor=[*SHORT], long_factor=[*LONG], original_max_position_embeddings=64),
    ),
    (Proportional(0.4, 2.0), dict(rope_type="proportional", partial_rotary_factor=0.4, factor=2.0)),
]  # fmt: skip


@pytest.mark.parametrize(("ours", "theirs"), SCALINGS, ids=lambda x: type(x).__name__ if isinstance(x, Scaling) else "")
def test_scalings_as_theirs(ours: Scaling, theirs: dict[str, Any]) -> None:
    """The frequencies and the factor on the attention, for texts within and beyond the length of the training."""
    whole = isinstance(ours, LongRope | Proportional)  # their own numbers say how much of a head is turned
    for base, share in [(10_000.0, 1.0), (300.0, 1.0)] if whole else [(10_000.0, 1.0), (300.0, 0.5)]:
        rope = {**({} if whole else {"partial_rotary_factor": share}), **theirs, "rope_theta": base}
        config = LlamaConfig(hidden_size=64, num_attention_heads=4, max_position_embeddings=256, rope_parameters=rope)
        for length in (1, 63, 64, 65, 256, 257, 1000):
            freq, attention = ROPE_INIT_FUNCTIONS[theirs["rope_type"]](config, torch.device("cpu"), seq_len=length)
            got = ours.frequencies(base, int(16 * share), length, torch.device("cpu"))
            torch.testing.assert_close(got, freq, atol=0, rtol=2e-6)
            assert math.isclose(ours.attention, attention, rel_tol=1e-9)


@pytest.mark.parametrize("scaling", [Dynamic(2.0, 8), LongRope((1.0, 2.0), (3.0, 9.0), 8)], ids=lambda s: type(s).__name__)
def test_scalings_by_length(scaling: Scaling) -> None:
    """Within the trained length nothing of a text's length shows; beyond it the angles differ, and so do the eras."""
    scheme = RotaryPositions(Rotary(100.0, scaling=scaling), 4)
    q, at = torch.ones(1, 3, 1, 4), torch.tensor([[0, 3, 6]])

    def turned(length: int) -> torch.Tensor:
        return scheme.rotate(q, q, at, {LENGTH: length})[0]

    assert scheme.by_length
    assert scheme.era(3) == scheme.era(8)
    assert torch.equal(turned(3), turned(8))
    assert scheme.era(9) != scheme.era(8)
    assert (turned(9) - turned(8)).abs().max() > 1e-2
    assert not RotaryPositions(Rotary(scaling=Linear(2.0)), 4).by_length


def test_attention_factor_and_size() -> None:
    """YaRN's factor lengthens what is turned and leaves the rest; `size` names what is turned."""
    q = torch.randn(1, 4, 2, 12)
    at = torch.arange(4)[None]
    scheme = RotaryPositions(Rotary(size=8, scaling=Yarn(4.0, 16, attention=1.5)), 12)
    turned, _ = scheme.rotate(q, q, at, {})
    torch.testing.assert_close(turned[..., :8].norm(dim=-1), 1.5 * q[..., :8].norm(dim=-1))
    assert torch.equal(turned[..., 8:], q[..., 8:])


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
