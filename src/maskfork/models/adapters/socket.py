"""What sits in a linear map's socket: every adapter's parts for it, of which the switch says whose turn it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from maskfork.core.linear import Linear
from maskfork.models.adapters.parts import InputFactor, Part, added_together
from maskfork.models.adapters.switch import Switch


class Socket(nn.Module):
    """`parts` by adapter's name."""

    def __init__(self, switch: Switch) -> None:
        super().__init__()
        self.switch = switch
        self.parts = nn.ModuleDict()

    def add(self, name: str, part: Part) -> None:
        if name not in self.parts:
            self.parts[name] = nn.ModuleList()
        cast(nn.ModuleList, self.parts[name]).append(part)

    def of(self, name: str) -> Sequence[Part]:
        """An adapter's parts here; none where it leaves this map alone."""
        return cast(Sequence[Part], self.parts[name]) if name in self.parts else ()

    def forward(self, linear: Linear, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]"""
        if self.switch.rows is None:
            return _through(self.of(self.switch.active or ""), linear, x)
        out = linear.plain(x)
        for name, index in self.switch.groups(x):
            if parts := self.of(name):
                out = out.index_copy(0, index, _through(parts, linear, x[index]).to(out.dtype))
        return out

    def merged(self, name: str, linear: Linear) -> tuple[Tensor, Tensor | None]:
        """The map's matrix and bias with an adapter in them."""
        weight, bias = linear.dense().detach().clone(), linear.biases()
        bias = None if bias is None else bias.detach().clone()
        with torch.no_grad():
            for part in self.of(name):
                rows, biases = part.merged(weight[part.rows], None if bias is None else bias[part.rows])
                weight[part.rows] = rows
                if bias is not None and biases is not None:
                    bias[part.rows] = biases
        return weight, bias


def _through(parts: Sequence[Part], linear: Linear, x: Tensor) -> Tensor:
    """Those that change what enters go first: what they give is not added to."""
    if (added := added_together(parts, x, linear.out_features)) is not None:
        base = linear.plain(x)
        return base + added.to(base.dtype)
    y: Tensor | None = None
    for part in sorted(parts, key=lambda p: not isinstance(p, InputFactor)):
        if isinstance(part, InputFactor) and y is None and part.stop - part.start < linear.out_features:
            y = linear.plain(x)
        y = part(linear, x, y)
    return linear.plain(x) if y is None else y
