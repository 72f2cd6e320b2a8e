"""bf16 where the processor has it and the loss agrees; float32 otherwise, and which one is said."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

#: how far the bf16 loss of the first batch may be from float32's, as a share of it
AGREES = 0.02
#: the least cosine between the two gradients of the first batch
ALIKE = 0.98


def has_bf16(device: torch.device) -> bool:
    """Whether bf16 multiplies are in the hardware (on a CPU: AVX512-BF16 or AMX), so that they are faster than float32's."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "cpu":
        probes = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
        return any(bool(probe()) for probe in probes if probe is not None)
    return False


def autocast(device: torch.device, *, bf16: bool) -> AbstractContextManager[object]:
    """The context of a forward pass."""
    return torch.autocast(device.type, torch.bfloat16) if bf16 else nullcontext()


def choose(wanted: str, model: nn.Module, loss: Callable[[], Tensor]) -> tuple[bool, str]:
    """(use bf16, why): `loss` computes the first batch's loss without dropout.

    bf16 is taken where that loss and its gradient agree with float32's: a fresh head's loss alone says little.
    """
    device = next(model.parameters()).device
    if wanted == "fp32":
        return False, "float32, as asked"
    if wanted == "auto" and not has_bf16(device):
        return False, "float32: this processor has no bf16 arithmetic"
    exact, exact_slopes = _slopes(model, loss, bf16=False)
    rough, rough_slopes = _slopes(model, loss, bf16=True)
    apart = abs(rough - exact) / max(abs(exact), 1e-6)
    cosine = _cosine(exact_slopes, rough_slopes)
    found = f"the first batch's loss is {apart:.2%} from float32's, the cosine of the gradients {cosine:.4f}"
    if wanted == "bf16":
        return True, f"bf16, as asked: {found}"
    if not (apart <= AGREES and cosine >= ALIKE):
        return False, f"float32: in bf16 {found}"
    return True, f"bf16: {found}"


def _slopes(model: nn.Module, loss: Callable[[], Tensor], *, bf16: bool) -> tuple[float, list[Tensor]]:
    """The loss and its gradient, a tensor for each parameter that has one."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    with autocast(parameters[0].device, bf16=bf16):
        value = loss()
    slopes = torch.autograd.grad(value, parameters, allow_unused=True)
    return float(value.detach()), [slope for slope in slopes if slope is not None]


def _cosine(a: list[Tensor], b: list[Tensor]) -> float:
    """Of two gradients, tensor by tensor: all of them at once in float64 would be the largest thing in memory."""

    def dot(x: list[Tensor], y: list[Tensor]) -> float:
        return sum(float(torch.dot(p.flatten().double(), q.flatten().double())) for p, q in zip(x, y, strict=True))

    return dot(a, b) / max(math.sqrt(dot(a, a) * dot(b, b)), 1e-300)
