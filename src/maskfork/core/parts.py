"""What a block is made of beside attention: norms, feed-forward, activations, the embeddings' convolution.

Legend: B batch, S sequence, E hidden size, F feed-forward size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskfork.core.batch import Batch, Traced
from maskfork.core.dropout import Dropout
from maskfork.core.linear import Linear
from maskfork.core.spec import ConvSpec, FeedForwardSpec, NormSpec
from maskfork.errors import ModelError

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_fast": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "relu": F.relu,
    "relu2": lambda x: F.relu(x).square(),
    "silu": F.silu,
    "swish": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "mish": F.mish,
    "linear": lambda x: x,
}


def activation(name: str) -> Callable[[Tensor], Tensor]:
    """The function of that name. Raises ModelError with the list of names."""
    if name not in ACTIVATIONS:
        raise ModelError(f"activation '{name}' is not known: config.json may name {', '.join(sorted(ACTIVATIONS))}")
    return ACTIVATIONS[name]


class RMSNorm(nn.Module):
    """x / rms(x) * weight, the mean of squares in float32 or wider (Zhang & Sennrich 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        if x.dtype.itemsize >= 4:
            return rms_norm(x, self.weight, self.eps)
        wide = x.float()
        return self.weight * (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)).to(x.dtype)


class OffsetRMSNorm(nn.Module):
    """x / rms(x) * (1 + weight), all of it in float32 or wider (Gemma's reference code): a fresh weight is zero."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.weight.fresh = 0.0  # type: ignore[attr-defined]
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        wide = x if x.dtype.itemsize >= 4 else x.float()
        return rms_norm(wide, 1.0 + self.weight.to(wide.dtype), self.eps).to(x.dtype)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis, in x's type."""
    if x.device.type != "cpu":
        return F.rms_norm(x, weight.shape, weight, eps)
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        normed: Tensor = _RMSNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
        return normed
    return x * _inverse_rms(x, eps) * weight


def _inverse_rms(x: Tensor, eps: float) -> Tensor:
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return torch.rsqrt(length.square_().div_(x.shape[-1]).add_(eps))


class _RMSNorm(torch.autograd.Function):
    """With its gradient written out: on a CPU torch's own, step by step, takes twice as long (docs/log.md)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = _inverse_rms(x, eps)
        unit = x * scale
        ctx.save_for_backward(unit, scale, weight)
        return unit * weight

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (grad,) = grads
        unit, scale, weight = ctx.saved_tensors
        dweight = (grad * unit).flatten(0, -2).sum(0) if ctx.needs_input_grad[1] else None
        inner = grad * weight
        along = (inner * unit).mean(-1, keepdim=True)
        return torch.addcmul(inner, unit, along, value=-1).mul_(scale), dweight, None


def norm(spec: NormSpec, size: int) -> nn.Module:
    """The module for a norm's spec."""
    if spec.kind == "layer":
        return nn.LayerNorm(size, eps=spec.eps, bias=spec.bias)
    return OffsetRMSNorm(size, spec.eps) if spec.plus_one else RMSNorm(size, spec.eps)


class FeedForward(nn.Module):
    """down(act(up(x))), or gated: down(act(gate(x)) * up(x)) with gate and up fused as `up` [2F, E]."""

    def __init__(self, spec: FeedForwardSpec, hidden_size: int) -> None:
        super().__init__()
        self.gated = spec.gated
        self.up = Linear(hidden_size, spec.size * (2 if spec.gated else 1), bias=spec.bias is True)
        self.down = Linear(spec.size, hidden_size, bias=bool(spec.bias))
        self.act = activation(spec.activation)
        self.drop = Dropout(spec.dropout)

    def forward(self, x: Tensor, routed: list[Tensor] | None = None) -> Tensor:
        """[..., E] -> [..., E]. `routed` is for experts, who leave their router's logits there."""
        up = self.up(x)
        if self.gated:
            gate, up = up.chunk(2, dim=-1)
            # In place where nothing is kept for the way back: less memory that the system takes back and hands out again.
            inner = self.act(gate) * up if torch.is_grad_enabled() else self.act(gate).mul_(up)
            return self.down(self.drop(inner))  # type: ignore[no-any-return]
        return self.down(self.drop(self.act(up)))  # type: ignore[no-any-return]


class Convolution(nn.Module):
    """DeBERTa v2: norm(y + act(conv(x))), where x entered the first layer and y left it.

    A convolution reads its neighbours whoever they are, so every sequence gets a row of its own.
    """

    def __init__(self, spec: ConvSpec, hidden_size: int, norm_spec: NormSpec, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(hidden_size, hidden_size, spec.kernel, padding=(spec.kernel - 1) // 2, groups=spec.groups)
        self.norm = norm(norm_spec, hidden_size)
        self.act = activation(spec.activation)
        self.drop = Dropout(dropout)

    def forward(self, x_BSE: Tensor, y_BSE: Tensor, batch: Batch) -> Tensor:
        if isinstance(batch, Traced):
            kept_BS1 = batch.kept[..., None]
            rows = self.conv((x_BSE * kept_BS1).transpose(1, 2)).transpose(1, 2) * kept_BS1
            return self.norm(y_BSE + self.act(self.drop(rows)))  # type: ignore[no-any-return]
        rows = self.conv(batch.unpack(x_BSE).transpose(1, 2)).transpose(1, 2)
        mixed = torch.zeros_like(y_BSE)
        for i, (row, start, n) in enumerate(batch.sequences):
            mixed[row, start : start + n] = rows[i, :n]
        return self.norm(y_BSE + self.act(self.drop(mixed)))  # type: ignore[no-any-return]
