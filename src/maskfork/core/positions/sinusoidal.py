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
        width = x_BSE.shape[-1]
        steps = torch.arange(0, width, 2, device=x_BSE.device, dtype=torch.float32)
        angle = pos_BS[..., None].float() * torch.exp(-math.log(self.base) * steps / width)
        if self.halves:
            waves = torch.cat([angle.sin(), angle.cos()], dim=-1)
        else:
            waves = torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)
        return x_BSE + waves[..., :width].to(x_BSE.dtype)
