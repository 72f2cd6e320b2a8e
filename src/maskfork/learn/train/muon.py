"""Muon: the step of a hidden matrix is its momentum with all singular values made alike.

    momentum of the gradient ─ Newton-Schulz ─> nearest half-orthogonal matrix ─ scaled ─> step

After Jordan et al. 2024 (kellerjordan.github.io/posts/muon) with the scale of Liu et al. 2025 ("Muon is scalable for LLM
training", section 2.2), by which one learning rate and one weight decay serve both Muon and AdamW.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.fused import Fused
from maskfork.core.parts import FeedForward

#: of the polynomial a x + b x^3 + c x^5, whose slope at zero is as steep as it can be (Jordan et al. 2024)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(g: Tensor, rounds: int = 5) -> Tensor:
    """The half-orthogonal matrix near g [..., M, N], its singular values between about 0.7 and 1.2.

    float32 on a CPU, bf16 where multiplies in it are cheap.
    """
    a, b, c = COEFFICIENTS
    x = g.to(torch.float32 if g.device.type == "cpu" else torch.bfloat16)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    x = x / (torch.linalg.matrix_norm(x.float(), keepdim=True) + 1e-7).to(x.dtype)
    for _ in range(rounds):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    made: Tensor = (x.mT if tall else x).to(g.dtype)
    return made


class Muon(torch.optim.Optimizer):
    """For matrices [M, N] and stacks of them [K, M, N]; `rows` of a parameter: the heights of the matrices fused in it."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.95,
        rows: Mapping[nn.Parameter, tuple[int, ...]] | None = None,
    ) -> None:
        super().__init__(parameters, dict(lr=lr, weight_decay=weight_decay, momentum=momentum))
        self.rows = dict(rows or {})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step; Nesterov's momentum, decoupled weight decay."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                held = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(held, group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                for part, slope in zip(self._parts(p, p), self._parts(p, ahead), strict=True):
                    scale = 0.2 * max(part.shape[-2:]) ** 0.5  # AdamW's usual root mean square of a step is 0.2
                    part.add_(orthogonal(slope), alpha=-group["lr"] * scale)

    def _parts(self, p: nn.Parameter, x: Tensor) -> tuple[Tensor, ...]:
        return torch.split(x, list(self.rows[p]), dim=-2) if p in self.rows else (x,)


def hidden_matrices(model: nn.Module) -> tuple[dict[str, nn.Parameter], dict[nn.Parameter, tuple[int, ...]]]:
    """(matrices inside the blocks by name, the heights of those that are several in one).

    Embeddings, positions, heads, routers, norms and biases are not among them.
    """
    found = {
        name: p
        for name, p in model.named_parameters()
        if ".layers." in name and p.dim() in (2, 3) and min(p.shape) > 1 and ".router." not in name and p.requires_grad
    }
    own = set(found.values())
    rows: dict[nn.Parameter, tuple[int, ...]] = {}
    for module in model.modules():
        if isinstance(module, Fused) and (fused := _own(module.weight, own)) is not None:
            rows[fused] = module.sizes
        elif isinstance(module, FeedForward) and module.gated and (fused := _own(module.up.weight, own)) is not None:
            rows[fused] = (fused.shape[0] // 2,) * 2
    return found, rows


def _own(weight: Tensor, own: set[nn.Parameter]) -> nn.Parameter | None:
    return weight if isinstance(weight, nn.Parameter) and weight in own else None
