"""What sits beside some rows of a linear map: two narrow matrices (LoRA, DoRA) or a factor (IA3).

Legend: O rows of the output, I input size, R rank.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskfork.core.dropout import Dropout
from maskfork.core.linear import Linear


class Part(nn.Module, ABC):
    """Changes rows `start` to `stop` of what a linear map gives."""

    def __init__(self, start: int, stop: int) -> None:
        super().__init__()
        self.start, self.stop = start, stop

    @property
    def rows(self) -> slice:
        return slice(self.start, self.stop)

    @abstractmethod
    def forward(self, linear: Linear, x: Tensor, y: Tensor | None) -> Tensor:
        """The map's output with these rows changed; y [..., out] is what it gave so far, None where nothing was computed."""

    @abstractmethod
    def merged(self, weight_OI: Tensor, bias_O: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """These rows of the map with the change in them."""

    def _put(self, y: Tensor, changed: Tensor) -> Tensor:
        """y with these rows replaced."""
        if self.stop - self.start == y.shape[-1]:
            return changed.to(y.dtype)
        return torch.cat([y[..., : self.start], changed.to(y.dtype), y[..., self.stop :]], dim=-1)


class LowRank(Part):
    """y + scale * B A x; with a `magnitude` [O], magnitude * (W + scale * B A) x / |W + scale * B A| (DoRA)."""

    def __init__(
        self, a_RI: Tensor, b_OR: Tensor, start: int, *, scale: float, dropout: float, magnitude_O: Tensor | None
    ) -> None:
        super().__init__(start, start + b_OR.shape[0])
        self.a, self.b, self.scale = nn.Parameter(a_RI), nn.Parameter(b_OR), scale
        self.magnitude = None if magnitude_O is None else nn.Parameter(magnitude_O)
        self.drop = Dropout(dropout)

    @staticmethod
    def fresh(linear: Linear, start: int, stop: int, rank: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A and B that change nothing yet: A uniform as a fresh linear map's, B zeros (Hu et al. 2021, section 4.1)."""
        bound = 1.0 / math.sqrt(linear.in_features)
        a = (torch.rand(rank, linear.in_features, generator=generator) * 2 - 1) * bound
        return a, torch.zeros(stop - start, rank)

    def forward(self, linear: Linear, x: Tensor, y: Tensor | None) -> Tensor:
        y = linear.plain(x) if y is None else y
        dropped = self.drop(x)
        added = F.linear(F.linear(dropped.to(self.a.dtype), self.a) * self.scale, self.b)
        if self.magnitude is None:
            if self.stop - self.start == y.shape[-1]:
                return y + added.to(y.dtype)
            y[..., self.rows] += added.to(y.dtype)
            return y
        ratio = self.ratio(linear.dense()[self.rows])
        bias = linear.biases()
        bias_O = None if bias is None else bias[self.rows]
        held = y[..., self.rows] if dropped is x else linear.plain(dropped)[..., self.rows]  # dropped inputs have their own base
        base = held if bias_O is None else held - bias_O
        return self._put(y, y[..., self.rows] + (ratio - 1) * base + ratio * added)

    def change(self) -> Tensor:
        """scale * B A, [O, I]."""
        return (self.b @ self.a) * self.scale

    def ratio(self, weight_OI: Tensor) -> Tensor:
        """magnitude / |W + scale * B A| [O]; no gradient flows through the norm (Liu et al. 2024, section 4.3)."""
        assert self.magnitude is not None
        with torch.no_grad():
            norm_O = torch.linalg.vector_norm(weight_OI.to(self.a.dtype) + self.change(), dim=1)
        ratio: Tensor = self.magnitude / norm_O
        return ratio

    def merged(self, weight_OI: Tensor, bias_O: Tensor | None) -> tuple[Tensor, Tensor | None]:
        changed = weight_OI + self.change()
        if self.magnitude is not None:
            changed = changed * self.ratio(weight_OI)[:, None]
        return changed, bias_O


def added_together(parts: Sequence[Part], x: Tensor, size: int) -> Tensor | None:
    """What narrow matrices add to an output [..., size]: x goes through all of them at once. None where they cannot so.

    Added part by part, each sum would be copied whole on the way back.
    """
    low = sorted((p for p in parts if isinstance(p, LowRank)), key=lambda p: p.start)
    if not low or len(low) < len(parts) or any(p.magnitude is not None or (p.drop.p and p.training) for p in low):
        return None
    inner = F.linear(x.to(low[0].a.dtype), torch.cat([p.a for p in low]) if len(low) > 1 else low[0].a)
    pieces, end = [], 0
    for part, narrow in zip(low, torch.split(inner, [p.a.shape[0] for p in low], dim=-1), strict=True):
        if part.start > end:
            pieces.append(inner.new_zeros(()).expand(*inner.shape[:-1], part.start - end))
        pieces.append(F.linear(narrow, part.b * part.scale))
        end = part.stop
    if end < size:
        pieces.append(inner.new_zeros(()).expand(*inner.shape[:-1], size - end))
    return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=-1)


class Factor(Part):
    """y * factor, factor [O]."""

    def __init__(self, factor_O: Tensor, start: int) -> None:
        super().__init__(start, start + len(factor_O))
        self.factor = nn.Parameter(factor_O)

    def forward(self, linear: Linear, x: Tensor, y: Tensor | None) -> Tensor:
        y = linear.plain(x) if y is None else y
        return self._put(y, y[..., self.rows] * self.factor)

    def merged(self, weight_OI: Tensor, bias_O: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight_OI * self.factor[:, None], None if bias_O is None else bias_O * self.factor


class InputFactor(Part):
    """W (x * factor) + b, factor [I]."""

    def __init__(self, factor_I: Tensor, start: int, stop: int) -> None:
        super().__init__(start, stop)
        self.factor = nn.Parameter(factor_I)

    def forward(self, linear: Linear, x: Tensor, y: Tensor | None) -> Tensor:
        changed = linear.plain(x * self.factor.to(x.dtype))
        return changed if y is None or self.stop - self.start == y.shape[-1] else self._put(y, changed[..., self.rows])

    def merged(self, weight_OI: Tensor, bias_O: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight_OI * self.factor, bias_O
