"""Matrices and tables that are held in fewer bits, as modules without parameters.

Legend: O outputs, I inputs, V vocabulary, E width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskfork.models.quantised.nf4 import NF4, Quantised, dequantise_tensor, quantise_tensor, scales_of


class PackedMatrix(nn.Module):
    """A matrix [O, I] in NF4. What it is multiplied with is made of it each time, forward and backward."""

    def __init__(self, weight: Tensor, kind: NF4) -> None:
        super().__init__()
        self.kind, self.shape = kind, tuple(weight.shape)
        held = quantise_tensor(weight, kind)
        for name in ("codes", "scales", "offset", "outer"):
            self.register_buffer(name, getattr(held, name))

    @property
    def held(self) -> Quantised:
        return Quantised(*(self._buffers[name] for name in ("codes", "scales", "offset", "outer")))  # type: ignore[arg-type]

    def dense(self) -> Tensor:
        """[O, I] float32, with the numbers that are multiplied."""
        return self.computed().float()

    def computed(self) -> Tensor:
        """[O, I] in the type that it is multiplied in."""
        return dequantise_tensor(self.held, self.shape, self.kind, self.kind.dtype)

    def multiply(self, x: Tensor, bias: Tensor | None) -> Tensor:
        y: Tensor = _Multiply.apply(x, self)  # type: ignore[no-untyped-call]
        return y if bias is None else y + bias.to(y.dtype)


class _Multiply(torch.autograd.Function):
    """x W' for a W that takes no gradient and is kept nowhere."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: PackedMatrix) -> Tensor:
        ctx.matrix, ctx.dtype = matrix, x.dtype
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(x.to(matrix.kind.dtype), matrix.computed()).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, None]:
        weight = ctx.matrix.computed()
        return (grads[0].to(weight.dtype) @ weight).to(ctx.dtype), None


class PackedTable(PackedMatrix):
    """A token table [V, E] in NF4; rows are made as they are asked for."""

    def forward(self, tokens: Tensor) -> Tensor:
        rows, width = self.shape
        if width % self.kind.block:
            return F.embedding(tokens, self.dense())
        chosen, back = tokens.flatten().unique(return_inverse=True)  # type: ignore[no-untyped-call]
        held, blocks = self.held, width // self.kind.block
        at = (chosen[:, None] * blocks + torch.arange(blocks, device=chosen.device)).flatten()
        codes = held.codes.view(rows, -1)[chosen].flatten()
        some = dequantise_tensor(Quantised(codes, scales_of(held)[at]), (len(chosen), width), self.kind, self.kind.dtype)
        return some.float()[back].view(*tokens.shape, width)

    @property
    def weight(self) -> Tensor:
        """[V, E] float32"""
        return self.dense()


class HalfTable(nn.Module):
    """A token table [V, E] in bfloat16, whose rows come out in float32."""

    short: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("short", weight.detach().to(torch.bfloat16))

    def forward(self, tokens: Tensor) -> Tensor:
        return F.embedding(tokens, self.short).float()

    @property
    def weight(self) -> Tensor:
        """[V, E] float32"""
        return self.short.float()
