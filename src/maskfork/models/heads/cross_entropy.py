"""Cross-entropy over a vocabulary without ever holding the logits of all tokens.

    logits of a few rows -> softmax -> their loss, their part of dx, their part of dW -> thrown away, next rows

The gradient is worked out beside the loss, where the rows' probabilities are at hand, so that nothing of size [N, V] is kept
for the way back (Wijmans et al. 2024, "Cut Your Losses"; the arithmetic is the usual one).

Legend: N tokens, E width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

IGNORE_INDEX = -100  # a target that carries no loss

#: how large the logits of one round may be: smaller rounds touch the weight's gradient more often (docs/log.md)
ROUND_BYTES = 64 * 2**20


def linear_cross_entropy(
    x_NE: Tensor, weight_VE: Tensor, bias_V: Tensor | None, targets_N: Tensor, softcap: float | None = None
) -> Tensor:
    """Mean of -log softmax(x W' + b)[target], a scalar in float32; `softcap` as in `LanguageModelHead`.

    No target may be IGNORE_INDEX: choose the rows first. Multiplies run in autocast's type where it is on.
    """
    kind = x_NE.device.type
    low = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
    if not torch.is_grad_enabled():
        return _forward(x_NE, weight_VE, bias_V, targets_N, softcap, low)[0]
    loss: Tensor = _LinearCrossEntropy.apply(x_NE, weight_VE, bias_V, targets_N, softcap, low)  # type: ignore[no-untyped-call]
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        softcap: float | None,
        low: torch.dtype | None,
    ) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            loss, slopes = _forward(x, weight, bias, targets, softcap, low, wanted=ctx.needs_input_grad[:3])
        ctx.save_for_backward(*slopes)
        return loss

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        dx, dw, db = (None if slope is None else slope * grad for slope in ctx.saved_tensors)
        return dx, dw, db, None, None, None


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    softcap: float | None,
    low: torch.dtype | None,
    wanted: tuple[bool, ...] = (False, False, False),
) -> tuple[Tensor, tuple[Tensor | None, Tensor | None, Tensor | None]]:
    """The loss, and d loss / d (x, weight, bias) where wanted."""
    rows, vocabulary = x.shape[0], weight.shape[0]
    working = weight if low is None else weight.to(low)
    narrow = x if low is None else x.to(low)
    total = torch.zeros((), dtype=torch.float32, device=x.device)
    dx = torch.empty_like(x) if wanted[0] else None
    dw = torch.zeros_like(weight) if wanted[1] else None
    db = torch.zeros_like(bias) if wanted[2] and bias is not None else None
    step = max(1, min(rows, ROUND_BYTES // (4 * vocabulary)))
    for start in range(0, rows, step):
        part = slice(start, min(rows, start + step))
        logits = F.linear(narrow[part], working).float()
        if bias is not None:
            logits += bias
        flat = None
        if softcap is not None:
            flat = torch.tanh_(logits.div_(softcap))
            logits = flat * softcap
        picked = logits.gather(1, targets[part, None])
        if not any(wanted):
            total += (logits.logsumexp(1, keepdim=True) - picked).sum()
            continue
        highest = logits.amax(1, keepdim=True)
        slope = logits.sub_(highest).exp_()
        whole = slope.sum(1, keepdim=True)
        total += (highest + whole.log() - picked).sum()
        slope.div_(whole).scatter_add_(1, targets[part, None], slope.new_full((slope.shape[0], 1), -1.0)).div_(rows)
        if flat is not None:
            slope *= 1 - flat.square_()
        if db is not None:
            db += slope.sum(0)
        slope = slope if low is None else slope.to(low)
        if dx is not None:
            dx[part] = slope @ working
        if dw is not None:
            dw.addmm_(slope.t(), narrow[part]) if low is None else dw.add_(slope.t() @ narrow[part])
    return total / max(rows, 1), (dx, dw, db)
