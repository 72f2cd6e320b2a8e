"""Mixture of experts: a router sends every token to a few feed-forwards of many (Shazeer et al. 2017; Jiang et al. 2024).

    tokens a b c, two experts each         sorted by expert            each expert once        back, weighted
    a -> 2 0    b -> 0 1    c -> 2 0       0: a b c   1: b   2: a c    3, 1 and 2 rows         a = w(a,2) y2 + w(a,0) y0 ...

Legend: T tokens, X experts, K chosen experts, R rows (tokens times their experts), G groups, E hidden size, F feed-forward size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from maskfork.core.dropout import Dropout
from maskfork.core.parts import FeedForward, activation
from maskfork.core.spec import ExpertsSpec, FeedForwardSpec
from maskfork.errors import ModelError


class Experts(nn.Module):
    """A feed-forward in which each token meets the experts that the router chose for it, and the shared one if there is one."""

    def __init__(self, spec: ExpertsSpec, hidden_size: int) -> None:
        super().__init__()
        if spec.expert.bias:
            raise ModelError("experts with biases are not known here: no family that is known has them")
        if spec.count % spec.groups or spec.chosen > spec.groups_chosen * (spec.count // spec.groups):
            raise ModelError(
                f"{spec.chosen} of {spec.count} experts cannot be chosen from {spec.groups_chosen} of {spec.groups} groups: "
                "correct the numbers of experts and groups in config.json"
            )
        self.spec = spec
        self.router = nn.Linear(hidden_size, spec.count, bias=False)
        # It sways the choice, and no gradient reaches it: DeepSeek-V3 moves it by the experts' load (section 2.1.2). Rounded to
        # bfloat16 it would choose others.
        self.correction = nn.Parameter(torch.zeros(spec.count), requires_grad=False) if spec.correction else None
        if self.correction is not None:
            self.correction.fresh = 0.0  # type: ignore[attr-defined]
            self.correction.wide = True  # type: ignore[attr-defined]
        self.experts = Bank(spec, hidden_size)
        self.shared = FeedForward(spec.shared, hidden_size) if spec.shared else None

    def forward(self, x: Tensor, routed: list[Tensor] | None = None) -> Tensor:
        """[..., E] -> [..., E]; the router's logits [T, X] are appended to `routed`."""
        x_TE = x.flatten(0, -2)
        logits_TX, weights_TK, chosen_TK = self.route(x_TE)
        if routed is not None:
            routed.append(logits_TX)
        out_TE = self.experts(x_TE, weights_TK, chosen_TK)
        if self.shared is not None:
            out_TE = out_TE + self.shared(x_TE)
        return out_TE.view_as(x)  # type: ignore[no-any-return]

    def route(self, x_TE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The router's logits [T, X], and the weights and the numbers of each token's experts, [T, K] both."""
        if self.spec.scoring == "sigmoid":
            logits_TX = F.linear(x_TE.float(), self.router.weight.float())
            scores_TX = logits_TX.sigmoid()
        else:
            logits_TX = self.router(x_TE)
            scores_TX = logits_TX.softmax(-1, dtype=torch.float32)
        chosen_TK = self._choose(scores_TX.detach())
        weights_TK = scores_TX.gather(-1, chosen_TK)
        if self.spec.normalise:
            weights_TK = weights_TK / (weights_TK.sum(-1, keepdim=True) + 1e-20)
        if self.spec.scaling != 1.0:
            weights_TK = weights_TK * self.spec.scaling
        return logits_TX, weights_TK.to(x_TE.dtype), chosen_TK

    def _choose(self, scores_TX: Tensor) -> Tensor:
        """The best experts; of several groups, only those of the groups whose two best are best (DeepSeek-V3, section 2.1.2)."""
        spec = self.spec
        if self.correction is not None:
            scores_TX = scores_TX + self.correction
        if spec.groups > 1:
            grouped = scores_TX.view(-1, spec.groups, spec.count // spec.groups)
            best_TG = grouped.topk(min(2, grouped.shape[-1]), dim=-1).values.sum(-1)
            within = torch.zeros_like(best_TG).scatter(-1, best_TG.topk(spec.groups_chosen, dim=-1).indices, 1.0)
            scores_TX = grouped.masked_fill(within[..., None] == 0, float("-inf")).flatten(-2)
        return scores_TX.topk(spec.chosen, dim=-1).indices


class Bank(nn.Module):
    """The experts' weights, `up` [X, F (2F gated), E] and `down` [X, E, F]."""

    def __init__(self, spec: ExpertsSpec, hidden_size: int) -> None:
        super().__init__()
        expert = spec.expert
        self.gated, self.act, self.drop = expert.gated, activation(expert.activation), Dropout(expert.dropout)
        self.up = nn.Parameter(torch.empty(spec.count, expert.size * (2 if expert.gated else 1), hidden_size))
        self.down = nn.Parameter(torch.empty(spec.count, hidden_size, expert.size))
        for stacked in (self.up, self.down):  # as nn.Linear starts each
            bound = stacked.shape[-1] ** -0.5
            nn.init.uniform_(stacked, -bound, bound)

    def forward(self, x_TE: Tensor, weights_TK: Tensor, chosen_TK: Tensor) -> Tensor:
        """[T, E]: every token's experts, weighted and summed. An expert that no token chose is not run."""
        tokens, each = chosen_TK.shape
        order = chosen_TK.flatten().argsort()  # pairs of token and place, sorted by expert
        entered = x_TE.index_select(0, order // each)
        loads = torch.bincount(chosen_TK.flatten(), minlength=self.up.shape[0]).tolist()
        inner = PerExpert.apply(entered, self.up, loads)  # type: ignore[no-untyped-call]
        if self.gated:
            gate, inner = inner.chunk(2, dim=-1)
            inner = self.act(gate) * inner
        else:
            inner = self.act(inner)
        left = PerExpert.apply(self.drop(inner), self.down, loads)  # type: ignore[no-untyped-call]
        back = left.index_select(0, order.argsort()).view(tokens, each, x_TE.shape[1])
        return torch.bmm(weights_TK[:, None], back)[:, 0]


class PerExpert(torch.autograd.Function):
    """Rows sorted by expert, each run of rows through its expert's matrix.

    Written out because the gradient of `stack[number]` is as large as the whole stack, and is made for each number.
    """

    @staticmethod
    def forward(ctx: Any, x_RE: Tensor, stack_XFE: Tensor, loads: list[int]) -> Tensor:
        ctx.save_for_backward(x_RE, stack_XFE)
        ctx.loads = loads
        out_RF = x_RE.new_empty(x_RE.shape[0], stack_XFE.shape[1])
        for number, rows in _runs(loads):
            torch.mm(x_RE[rows], stack_XFE[number].t(), out=out_RF[rows])
        return out_RF

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_RF: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x_RE, stack_XFE = ctx.saved_tensors
        to_x = torch.empty_like(x_RE) if ctx.needs_input_grad[0] else None
        to_stack = torch.empty_like(stack_XFE) if ctx.needs_input_grad[1] else None
        for number, rows in _runs(ctx.loads):
            if to_x is not None:
                torch.mm(grad_RF[rows], stack_XFE[number], out=to_x[rows])
            if to_stack is not None:
                torch.mm(grad_RF[rows].t(), x_RE[rows], out=to_stack[number])
        if to_stack is not None:
            for number, load in enumerate(ctx.loads):
                if not load:
                    to_stack[number].zero_()
        return to_x, to_stack, None


def _runs(loads: list[int]) -> Iterator[tuple[int, slice]]:
    """Each expert that some token chose, with its rows."""
    end = 0
    for number, load in enumerate(loads):
        start, end = end, end + load
        if load:
            yield number, slice(start, end)


def feed_forward(spec: FeedForwardSpec | ExpertsSpec, hidden_size: int) -> FeedForward | Experts:
    """The module for a feed-forward's spec."""
    return Experts(spec, hidden_size) if isinstance(spec, ExpertsSpec) else FeedForward(spec, hidden_size)


def router_loss(router_logits: Sequence[Tensor], count: int, chosen: int, keep: Tensor | None = None) -> Tensor:
    """How unevenly the experts are used, `chosen` at best: experts times the sum of load x mean probability.

    Switch Transformer (Fedus et al. 2022), equations 4 to 6, over all layers at once and for several experts a token, as
    `transformers` computes it for Mixtral. `router_logits`: [T, X] a layer; `keep` [B, S] or [T] leaves padding out. The
    gradient flows through the probabilities alone.
    """
    first = router_logits[0]
    kept_T = first.new_ones(first.shape[0], dtype=torch.float32) if keep is None else keep.flatten().to(torch.float32)
    load_X = mass_X = torch.zeros(count, device=first.device)
    for logits_TX in router_logits:
        probabilities_TX = logits_TX.softmax(-1, dtype=torch.float32)
        chosen_TK = probabilities_TX.detach().topk(chosen, dim=-1).indices
        load_X = load_X.index_add(0, chosen_TK.flatten(), kept_T.repeat_interleave(chosen))
        mass_X = mass_X + kept_T @ probabilities_TX
    rows = kept_T.sum() * len(router_logits)
    return count * (load_X / rows * (mass_X / rows)).sum()
