"""Rotary positions (Su et al. 2021): queries and keys are turned by an angle that grows with the place.

A scaling stretches the angles for texts longer than those of the training. Two of them look at the length of the text, which
is that of the longest sequence in the pass: one frequency serves a whole batch, as in the reference.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.positions.hooks import LENGTH, Memo, Positions
from maskfork.core.spec import PositionSpec, StackSpec
from maskfork.errors import ModelError


def plain(base: float, size: int, device: torch.device) -> Tensor:
    """Radians a place, [size / 2] float32: base^(-2i / size)."""
    steps = torch.arange(0, size, 2, device=device, dtype=torch.float32)
    return 1.0 / base ** (steps / size)


class Scaling:
    """How the frequencies of a longer text differ. A subclass is frozen data."""

    #: cosines and sines are multiplied by this, and so the logits by its square
    attention: float = 1.0

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        """Radians a place for a text of `length` tokens, [size / 2] float32."""
        return plain(base, size, device)

    def era(self, length: int) -> Hashable:
        """What of the length the frequencies depend on; None for a scaling that does not look at it."""
        return None


@dataclass(frozen=True)
class Linear(Scaling):
    """Places divided by `factor` (position interpolation, Chen et al. 2023)."""

    factor: float

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        return plain(base, size, device) / self.factor


@dataclass(frozen=True)
class Llama3(Scaling):
    """Low frequencies divided by `factor`, high ones kept, a ramp between (Llama 3.1)."""

    factor: float
    low: float
    high: float
    original: int

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        freq = plain(base, size, device)
        turns = self.original * freq / (2 * math.pi)
        smooth = ((turns - self.low) / (self.high - self.low)).clamp(0, 1)
        return freq / self.factor * (1 - smooth) + freq * smooth


@dataclass(frozen=True)
class Dynamic(Scaling):
    """Beyond `original` places the base grows with the length (dynamic NTK; Peng et al. 2023, appendix A)."""

    factor: float
    original: int

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        stretch = self.factor * max(length, self.original) / self.original - (self.factor - 1)
        return plain(base * stretch ** (size / (size - 2)), size, device)

    def era(self, length: int) -> Hashable:
        return max(length, self.original)


@dataclass(frozen=True)
class Yarn(Scaling):
    """Frequencies that turn more than `fast` times within `original` places are kept, those under `slow` are divided by
    `factor`, with a ramp over the dimensions between (Peng et al. 2023, section 3.2). `whole`: the ramp's ends are integers.
    """

    factor: float
    original: int
    fast: float = 32.0
    slow: float = 1.0
    attention: float = 1.0
    whole: bool = True

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        freq = plain(base, size, device)

        def dimension(turns: float) -> float:
            return size * math.log(self.original / (turns * 2 * math.pi)) / (2 * math.log(base))

        low, high = dimension(self.fast), dimension(self.slow)
        if self.whole:
            low, high = math.floor(low), math.ceil(high)
        low, high = max(low, 0), min(high, size - 1)
        steps = torch.arange(size // 2, device=device, dtype=torch.float32)
        divided = ((steps - low) / (high - low or 0.001)).clamp(0, 1)
        return freq / self.factor * divided + freq * (1 - divided)


@dataclass(frozen=True)
class LongRope(Scaling):
    """Each frequency has a divisor of its own: `short` up to `original` places, `long` beyond (LongRoPE, Ding et al. 2024)."""

    short: tuple[float, ...]
    long: tuple[float, ...]
    original: int
    attention: float = 1.0

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        divisors = self.long if length > self.original else self.short
        return plain(base, size, device) / torch.tensor(divisors, device=device)

    def era(self, length: int) -> Hashable:
        return length > self.original


@dataclass(frozen=True)
class Proportional(Scaling):
    """The lowest frequencies are zero, so that only a `share` of the head is turned, spread over both halves (Gemma 4)."""

    share: float
    factor: float = 1.0

    def frequencies(self, base: float, size: int, length: int, device: torch.device) -> Tensor:
        freq = plain(base, size, device) / self.factor
        freq[int(self.share * size // 2) :] = 0.0
        return freq


@dataclass(frozen=True)
class Rotary(PositionSpec):
    """`share` of each head is turned, or its first `size` dimensions; what is left stays.

    `interleaved` pairs neighbours (GPT-J), otherwise a half with the other (NeoX).
    """

    base: float = 10_000.0
    share: float = 1.0
    interleaved: bool = False
    scaling: Scaling | None = None
    size: int | None = None

    def build(self, stack: StackSpec) -> RotaryPositions:
        return RotaryPositions(self, stack.attention.head_size)


class RotaryPositions(Positions):
    """Angles are computed once a forward pass, in float32."""

    def __init__(self, spec: Rotary, head_size: int) -> None:
        super().__init__()
        self.spec = spec
        self.scaling = spec.scaling or Scaling()
        self.size = spec.size or int(head_size * spec.share) // 2 * 2
        self.by_length = self.scaling.era(1) is not None
        if isinstance(self.scaling, LongRope):
            counts = {len(self.scaling.short), len(self.scaling.long)}
            if counts != {self.size // 2}:
                raise ModelError(
                    f"longrope has lists of {' and '.join(str(n) for n in sorted(counts))} numbers where {self.size} dimensions "
                    f"of each head are turned: give {self.size // 2} numbers in short_factor and in long_factor"
                )

    def era(self, length: int) -> Hashable:
        return self.scaling.era(length)

    def frequencies(self, device: torch.device, length: int) -> Tensor:
        """Radians a place in a text of `length` tokens, [size / 2] float32."""
        return self.scaling.frequencies(self.spec.base, self.size, length, device)

    def rotate(self, q_BSHD: Tensor, k_BSHD: Tensor, pos_BS: Tensor, memo: Memo) -> tuple[Tensor, Tensor]:
        key = ("rotary", self.spec, self.size, q_BSHD.dtype)
        if key not in memo:
            length = memo[LENGTH] if self.by_length else 0
            angle = pos_BS[..., None].float() * self.frequencies(pos_BS.device, length)
            cos, sin = angle.cos() * self.scaling.attention, angle.sin() * self.scaling.attention
            waves = self._paired(cos, cos), self._paired(-sin, sin)
            memo[key] = tuple(wave[:, :, None, :].to(q_BSHD.dtype) for wave in waves)
        cos, sin = memo[key]
        return self._turn(q_BSHD, cos, sin), self._turn(k_BSHD, cos, sin)

    def _paired(self, first: Tensor, second: Tensor) -> Tensor:
        """[..., size]: what stands at the first and at the second number of each pair."""
        return torch.stack([first, second], dim=-1).flatten(-2) if self.spec.interleaved else torch.cat([first, second], dim=-1)

    def _turn(self, x_BSHD: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(a, b) -> (a cos - b sin, b cos + a sin) for each pair: x cos + (b, a) (-sin, sin)."""
        turned, rest = x_BSHD[..., : self.size], x_BSHD[..., self.size :]
        if self.spec.interleaved:
            swapped = turned.reshape(*turned.shape[:-1], -1, 2).flip(-1).flatten(-2)
        else:
            a, b = turned.chunk(2, dim=-1)
            swapped = torch.cat([b, a], dim=-1)
        turned = (turned * cos).addcmul_(swapped, sin)
        return turned if rest.shape[-1] == 0 else torch.cat([turned, rest], dim=-1)
