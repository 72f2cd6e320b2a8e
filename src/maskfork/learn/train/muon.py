"""Muon: the step of a hidden matrix is its momentum with all singular values made alike.

    momentum of the gradient ─ Newton-Schulz ─> nearest half-orthogonal matrix ─ scaled ─> step
      matrices of one shape go through it together

After Jordan et al. 2024 (kellerjordan.github.io/posts/muon) with the scale of Liu et al. 2025 ("Muon is scalable for LLM
training", section 2.2), by which one learning rate and one weight decay serve both Muon and AdamW.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.fused import Fused
from maskfork.core.parts import FeedForward
from maskfork.learn.train.precision import has_bf16

#: of the polynomial a x + b x^3 + c x^5, whose slope at zero is as steep as it can be (Jordan et al. 2024)
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
#: the most numbers that go through the polynomial at once
TOGETHER = 2**24


def orthogonal(g: Tensor, rounds: int = 5) -> Tensor:
    """The half-orthogonal matrix near g [..., M, N], its singular values between about 0.7 and 1.2.

    bf16 where multiplies in it are cheap, as its authors have it; float32 elsewhere.
    """
    a, b, c = COEFFICIENTS
    x = g.to(torch.bfloat16 if has_bf16(g.device) else torch.float32)
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
            alike: dict[torch.Size, list[tuple[Tensor, ...]]] = defaultdict(list)  # matrix, gradient, momentum
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                held = state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                p.mul_(1 - group["lr"] * group["weight_decay"])
                for three in zip(*(self._parts(p, x) for x in (p, p.grad, held)), strict=True):
                    alike[three[0].shape].append(three)
            for (rows, columns), same in alike.items():
                rate = -group["lr"] * 0.2 * max(rows, columns) ** 0.5  # AdamW's usual root mean square of a step is 0.2
                at_once = max(1, TOGETHER // (rows * columns))
                for start in range(0, len(same), at_once):
                    some = same[start : start + at_once]
                    ahead = torch.stack([slope.lerp(held, group["momentum"]) for _, slope, held in some])
                    for (part, _, _), move in zip(some, orthogonal(ahead), strict=True):
                        part.add_(move, alpha=rate)

    def _parts(self, p: nn.Parameter, x: Tensor) -> list[Tensor]:
        """The matrices [M, N] in a parameter or in what has its shape."""
        stacked = x.unbind() if x.dim() == 3 else (x,)
        return [part for one in stacked for part in (torch.split(one, list(self.rows[p])) if p in self.rows else (one,))]


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
