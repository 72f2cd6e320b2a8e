"""Linear maps in int8 for a CPU: weights a scale a row, activations quantised as they come (torch's own kernels).

Measured on two cores with VNNI, GFLOP/s at 1 / 8 / 32 / 128 rows, K = 768, N = 3072: the engine x86 108 / 555 / 728 / 736, onednn
70 / 307 / 605 / 764. So each map is packed for both and the number of rows says which is asked.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.linear import Linear
from maskfork.errors import UsageError

ENGINES = ("x86", "onednn")
MANY = 128  # rows from which onednn is the quicker


class Int8Matrix(nn.Module):
    """A matrix [O, I] in int8 and its bias, as torch packs them. It gives no gradient."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.held = quantised_rows(weight)
        few, many = (packed(self.held, bias, engine) for engine in ENGINES)
        self.__dict__["few"], self.__dict__["many"] = few, many  # torch's own objects, no modules

    def multiply(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """The bias was packed with the weight."""
        rows = x.numel() // max(1, x.shape[-1])
        return torch.ops.quantized.linear_dynamic(x.float(), self.__dict__["many" if rows >= MANY else "few"])  # type: ignore[no-any-return]

    def dense(self) -> Tensor:
        """[O, I] float32, with the numbers that are multiplied."""
        return self.held.dequantize()


def quantised_rows(weight: Tensor) -> Tensor:
    """Symmetric int8, each row's scale its largest number's over 127."""
    scales = weight.detach().abs().amax(1).clamp_min(1e-12) / 127
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.quantize_per_tensor")  # deprecated, and without another way to these kernels
        return torch.quantize_per_channel(weight.detach().float(), scales.float(), zeros, 0, torch.qint8)


def packed(held: Tensor, bias: Tensor | None, engine: str) -> Any:
    """For one of torch's engines, which is a setting of the whole process while it packs."""
    before = torch.backends.quantized.engine
    try:
        torch.backends.quantized.engine = engine
        return torch.ops.quantized.linear_prepack(held, None if bias is None else bias.detach().float())
    finally:
        torch.backends.quantized.engine = before


def quantise_int8(body: nn.Module) -> int:
    """Hold all linear maps of a body in int8, in place; how many there are. Raises UsageError where torch has no such kernels."""
    missing = [engine for engine in ENGINES if engine not in torch.backends.quantized.supported_engines]
    if missing:
        raise UsageError(f"this torch has no int8 kernels for this processor ({missing[0]}): take another runtime")
    maps = [m for m in body.modules() if isinstance(m, Linear) and m.packed is None]
    for linear in maps:
        linear.pack(Int8Matrix(linear.weight, linear.biases()))
    return len(maps)
