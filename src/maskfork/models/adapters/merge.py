"""An adapter in the weights of its base, and the base again bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from maskfork.core.linear import Linear


@dataclass(frozen=True, eq=False)
class Kept:
    """What a linear map held before an adapter was merged into it."""

    linear: Linear
    weight: nn.Parameter | None
    bias: nn.Parameter | None
    packed: Any

    def put_back(self) -> None:
        self.linear.packed = self.packed
        self.linear.register_parameter("weight", self.weight)
        self.linear.register_parameter("bias", self.bias)


def merge_into(linears: Iterable[Linear], name: str) -> list[Kept]:
    """Each map's weight (and bias) with the adapter in it; what they held."""
    kept = []
    for linear in linears:
        weight, bias = linear.adapter.merged(name, linear)
        kept.append(Kept(linear, linear._parameters.get("weight"), linear._parameters.get("bias"), linear.packed))
        linear.packed = None
        linear.weight = nn.Parameter(weight, requires_grad=False)
        linear.rebias(bias)
    return kept
