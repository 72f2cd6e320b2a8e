"""bf16 where the processor has it and the loss agrees; float32 otherwise, and which one is said."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

#: how far the bf16 loss of the first batch may be from float32's, as a share of it
AGREES = 0.02


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


def choose(wanted: str, device: torch.device, loss: Callable[[], Tensor]) -> tuple[bool, str]:
    """(use bf16, why): `loss` computes the first batch's loss without dropout."""
    if wanted == "fp32":
        return False, "float32, as asked"
    if wanted == "auto" and not has_bf16(device):
        return False, "float32: this processor has no bf16 arithmetic"
    with torch.no_grad():
        exact = float(loss())
        with autocast(device, bf16=True):
            rough = float(loss())
    apart = abs(rough - exact) / max(abs(exact), 1e-6)
    if wanted == "bf16":
        return True, f"bf16, as asked; the first loss is {apart:.2%} from float32's"
    if not apart <= AGREES:
        return False, f"float32: the bf16 loss of the first batch is {apart:.1%} off"
    return True, f"bf16: the loss of the first batch is {apart:.2%} from float32's"
