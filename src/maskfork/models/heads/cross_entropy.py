"""Cross-entropy over a vocabulary without ever holding the logits of all tokens.

    logits of a round of rows -> softmax -> their loss, their part of dx, their part of dW -> overwritten by the next round
      the softmax goes by a few rows at a time, the part of dW by a few words at a time, so that both stay in the cache

The gradient is worked out beside the loss, where the rows' probabilities are at hand, so that nothing of size [N, V] is kept
for the way back (Wijmans et al. 2024, "Cut Your Losses"; the arithmetic is the usual one). All buffers are taken once and
written over: fresh memory for each round was a quarter of the time (docs/log.md).

Legend: N tokens, E width, V vocabulary, R rows of a round.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

IGNORE_INDEX = -100  # a target that carries no loss

#: how large the logits of one round may be: smaller rounds touch the weight's gradient more often (docs/log.md)
ROUND_BYTES = 32 * 2**20
#: how large the pieces of a round are that are worked on at a time; a core's share of the cache
PIECE_BYTES = 2 * 2**20


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
        alone = bool(grad == 1)  # the usual loss, which is asked for its own gradient: a copy of the table's is spared
        dx, dw, db = (slope if slope is None or alone else slope * grad for slope in ctx.saved_tensors)
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
    rows, (vocabulary, width) = x.shape[0], weight.shape
    narrow, table = (x, weight) if low is None else (x.to(low), weight.to(low))
    rounds = -(-rows // max(1, ROUND_BYTES // (table.element_size() * vocabulary)))
    at_once = max(1, -(-rows // max(1, rounds)))  # all rounds alike: a short last one would cost as much
    held = table.new_empty(at_once, vocabulary)
    cached = PIECE_BYTES if x.device.type == "cpu" else ROUND_BYTES  # a GPU wants few large calls
    piece, words = max(1, min(at_once, cached // (4 * vocabulary))), max(1, cached // (4 * width))
    scratch = table.new_empty(piece, vocabulary, dtype=torch.float32) if table.dtype.itemsize < 4 else None
    dx = torch.empty_like(x) if wanted[0] else None
    dw = torch.empty_like(weight) if wanted[1] else None
    db = torch.zeros_like(bias) if wanted[2] and bias is not None else None
    total = torch.zeros((), dtype=torch.float32, device=x.device)
    for start in range(0, rows, at_once):
        part = slice(start, min(rows, start + at_once))
        logits = held[: part.stop - start]
        torch.mm(narrow[part], table.t(), out=logits)
        for low_row in range(0, len(logits), piece):
            some = logits[low_row : low_row + piece]
            exact = some if scratch is None else scratch[: len(some)].copy_(some)
            asked = targets[start + low_row : start + low_row + len(some), None]
            total += _slopes(exact, asked, bias, softcap, rows, any(wanted))
            if db is not None:
                db += exact.sum(0)
            if scratch is not None and any(wanted):
                some.copy_(exact)
        if dx is not None:
            dx[part] = logits @ table
        if dw is not None:
            for word in range(0, vocabulary, words):
                few = slice(word, word + words)
                mine = logits[:, few].t() @ narrow[part]
                dw[few].copy_(mine) if start == 0 else dw[few].add_(mine)
    if rows == 0 and dw is not None:
        dw.zero_()
    return total / max(rows, 1), (dx, dw, db)


def _slopes(
    logits_RV: Tensor, targets_R1: Tensor, bias_V: Tensor | None, softcap: float | None, rows: int, wanted: bool
) -> Tensor:
    """The sum of the rows' losses; where wanted, the logits become the mean loss's slopes by the products x W', in place."""
    if bias_V is not None:
        logits_RV += bias_V
    flat = None
    if softcap is not None:
        flat = torch.tanh_(logits_RV.div_(softcap)).clone()
        logits_RV *= softcap
    picked = logits_RV.gather(1, targets_R1)
    highest = logits_RV.amax(1, keepdim=True)
    slope = logits_RV.sub_(highest).exp_()
    whole = slope.sum(1, keepdim=True)
    loss: Tensor = (highest + whole.log() - picked).sum()
    if wanted:
        slope.mul_(whole.mul(rows).reciprocal()).scatter_add_(1, targets_R1, whole.new_full(whole.shape, -1.0 / rows))
        if flat is not None:
            slope *= 1 - flat.square_()
    return loss
