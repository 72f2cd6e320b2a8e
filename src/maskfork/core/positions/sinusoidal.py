"""Fixed sines and cosines (Vaswani et al. 2017, section 3.5)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.positions.hooks import Positions
from maskfork.core.spec import PositionSpec, StackSpec


@dataclass(frozen=True)
class Sinusoidal(PositionSpec):
    """`halves`: all sines then all cosines (Marian, Pegasus); otherwise they alternate, as in the paper."""

    base: float = 10_000.0
    halves: bool = False

    def build(self, stack: StackSpec) -> SinusoidalPositions:
        return SinusoidalPositions(self)


class SinusoidalPositions(Positions):
    """Nothing is learned and nothing is stored: any place has its vector."""

    def __init__(self, spec: Sinusoidal) -> None:
        super().__init__()
        self.base, self.halves = spec.base, spec.halves

    def embed(self, x_BSE: Tensor, pos_BS: Tensor) -> Tensor:
        return x_BSE + waves(pos_BS, x_BSE.shape[-1], self.base, halves=self.halves).to(x_BSE.dtype)


def waves(pos_BS: Tensor, width: int, base: float = 10_000.0, *, halves: bool) -> Tensor:
    """The vectors of places [B, S], [B, S, width]. Angles are exact to float64 where the device has it."""
    exact = torch.float32 if pos_BS.device.type == "mps" else torch.float64
    steps = torch.arange(0, width, 2, device=pos_BS.device, dtype=exact)
    angle = pos_BS[..., None].to(exact) * torch.exp(-math.log(base) * steps / width)
    if halves:
        return torch.cat([angle.sin(), angle.cos()], dim=-1)[..., :width].float()
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)[..., :width].float()
