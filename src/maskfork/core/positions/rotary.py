"""Rotary positions (Su et al. 2021): queries and keys are turned by an angle that grows with the place."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.positions.hooks import Memo, Positions
from maskfork.core.spec import PositionSpec, StackSpec


@dataclass(frozen=True)
class Linear:
    """Places divided by `factor` (position interpolation, Chen et al. 2023)."""

    factor: float


@dataclass(frozen=True)
class Llama3:
    """Low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1)."""

    factor: float
    low: float
    high: float
    original: int


@dataclass(frozen=True)
class Rotary(PositionSpec):
    """`share` of each head is turned. `interleaved` pairs neighbours (GPT-J), otherwise a half with the other (NeoX)."""

    base: float = 10_000.0
    share: float = 1.0
    interleaved: bool = False
    scaling: Linear | Llama3 | None = None

    def build(self, stack: StackSpec) -> RotaryPositions:
        return RotaryPositions(self, stack.attention.head_size)


class RotaryPositions(Positions):
    """Angles are computed once a forward pass, in float32."""

    def __init__(self, spec: Rotary, head_size: int) -> None:
        super().__init__()
        self.spec = spec
        self.size = int(head_size * spec.share) // 2 * 2

    def frequencies(self, device: torch.device) -> Tensor:
        """Radians a place, [size / 2] float32."""
        steps = torch.arange(0, self.size, 2, device=device, dtype=torch.float32)
        freq = 1.0 / self.spec.base ** (steps / self.size)
        match self.spec.scaling:
            case None:
                return freq
            case Linear(factor):
                return freq / factor
            case Llama3(factor, low, high, original):
                turns = original * freq / (2 * math.pi)
                smooth = ((turns - low) / (high - low)).clamp(0, 1)
                return freq / factor * (1 - smooth) + freq * smooth

    def rotate(self, q_BSHD: Tensor, k_BSHD: Tensor, pos_BS: Tensor, memo: Memo) -> tuple[Tensor, Tensor]:
        key = ("rotary", self.spec, q_BSHD.dtype)
        if key not in memo:
            angle = pos_BS[..., None].float() * self.frequencies(pos_BS.device)
            memo[key] = tuple(wave[:, :, None, :].to(q_BSHD.dtype) for wave in (angle.cos(), angle.sin()))
        cos, sin = memo[key]
        return self._turn(q_BSHD, cos, sin), self._turn(k_BSHD, cos, sin)

    def _turn(self, x_BSHD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        turned, rest = x_BSHD[..., : self.size], x_BSHD[..., self.size :]
        if self.spec.interleaved:
            a, b = turned[..., 0::2], turned[..., 1::2]
            turned = torch.stack([a * cos - b * sin, b * cos + a * sin], dim=-1).flatten(-2)
        else:
            a, b = turned.chunk(2, dim=-1)
            turned = torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)
        return turned if rest.shape[-1] == 0 else torch.cat([turned, rest], dim=-1)
