"""A linear map with two sockets: `packed` holds its matrix in fewer bits, `adapter` changes what it gives.

    x ──┬─ base: weight, or packed ─ y ─┐
        └──────────────── adapter ──────┴─> y'

Both are empty unless the model was rewritten (`models/adapters`, `models/quantised`); the names of the parameters stay the same.
"""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn
from torch.nn import functional as F


class Packed(Protocol):
    """A matrix [out, in] in fewer bits: a module without parameters."""

    def multiply(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """[..., in] -> [..., out]"""

    def dense(self) -> Tensor:
        """The matrix [out, in] that is multiplied with."""


class Adapter(Protocol):
    """What changes a linear map: a module with the map's base still in the map."""

    def __call__(self, linear: Linear, x: Tensor) -> Tensor:
        """[..., in] -> [..., out]"""


class Linear(nn.Linear):
    """x W' + b, unless something sits in its sockets."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias=bias)
        self.packed: Any = None
        self.adapter: Any = None

    def reset_parameters(self) -> None:
        """As in a `Table`, there is nothing to fill on the meta device."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        return self.multiply(x)

    def multiply(self, x: Tensor) -> Tensor:
        """[..., in] -> [..., out], adapted."""
        return self.plain(x) if self.adapter is None else self.adapter(self, x)

    def part(self, x: Tensor, rows: slice) -> Tensor:
        """Some of the outputs alone, adapted."""
        if self.adapter is not None or self.packed is not None:
            return self.multiply(x)[..., rows]
        biases = self.biases()
        return F.linear(x, self.weight[rows], None if biases is None else biases[rows])

    def plain(self, x: Tensor) -> Tensor:
        """What the base gives."""
        if self.packed is not None:
            return self.packed.multiply(x, self.biases())  # type: ignore[no-any-return]
        return F.linear(x, self.weight, self.biases())

    def biases(self) -> Tensor | None:
        """One number an output, or None."""
        return self.bias

    def rebias(self, bias: Tensor | None) -> None:
        """Take other biases, one number an output."""
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)  # type: ignore[assignment]

    def dense(self) -> Tensor:
        """The base's matrix [out, in]."""
        return self.weight if self.packed is None else self.packed.dense()

    def pack(self, packed: Packed) -> None:
        """Hold the matrix in fewer bits; the weight is let go."""
        self.packed = packed
        self.register_parameter("weight", None)

    def unpack(self) -> None:
        """Hold the matrix as a weight again, as it was multiplied with."""
        if self.packed is not None:
            self.weight = nn.Parameter(self.packed.dense(), requires_grad=False)
            self.packed = None
