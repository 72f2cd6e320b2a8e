"""Packed tokens without padding: sequences of one length are attended together, no matter where they are stored.

row 0:  a a a b b b b c c c     lengths 3 4 3  ->  {a, c} as one [2, 3] problem, {b} as one [1, 4] problem
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

from maskfork.core.batch import Batch, Places
from maskfork.core.kernels.capped import Spans, capped_attention, spans_of
from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal, spread
from maskfork.core.kernels.sdpa import quickest
from maskfork.core.mask import And, Causal, Full, Marked, Mask, Or, with_marks


@dataclass(frozen=True, eq=False)
class Group:
    """Sequences with the same number of queries and of keys.

    `queries` [n, Q] and `keys` [n, K] are storage indices into the flattened tokens; a lone sequence is a slice.
    """

    queries: Tensor
    keys: Tensor
    query_slice: slice | None
    key_slice: slice | None
    places: Places
    allowed: Tensor | None  # [1 or n, 1 or H, Q, K]
    empty: Tensor | None  # [1 or n, Q, 1 or H, 1]
    causal: bool
    blocks: Spans  # of capped attention


class Varlen:
    """Through torch's kernel, group by group; nothing is computed for padding."""

    name = "varlen"

    def plan(self, ask: Ask) -> Plan | Refusal:
        if ask.weights:
            return Refusal(self.name, "it does not give the attention weights")
        if ask.softcap is not None and (ask.bias or ask.dropout):
            return Refusal(self.name, "it cannot cap logits with a bias or a dropout")
        if ask.offset:
            return Refusal(self.name, "cached keys stand in rows, not packed")
        if not _is_drawable(ask.rule):
            return Refusal(self.name, f"{ask.rule} says other things of every row")
        if ask.queries.spans is None or ask.keys.spans is None:
            return Refusal(self.name, "a sequence has holes in its attention mask")
        if not ask.queries.spans:
            return Refusal(self.name, "there is no token")
        if len(ask.queries.spans) != len(ask.keys.spans):
            return Refusal(self.name, "queries and keys are not the same number of sequences")
        if ask.queries is not ask.keys and not (_whole(ask.queries) and _whole(ask.keys)):
            return Refusal(self.name, "the queries are some tokens of their sequences, not all")
        groups = self._groups(ask)
        rows, width = ask.queries.shape
        order = torch.cat([g.queries.flatten() for g in groups])
        # Where every token belongs to a sequence, putting the groups' outputs back is one gather.
        inverse = torch.argsort(order) if order.numel() == rows * width else None

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            flat_q, flat_k, flat_v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
            outs = torch.cat([self._attend(ask, group, flat_q, flat_k, flat_v, bias).flatten(0, 1) for group in groups])
            if inverse is not None:
                out = outs if len(groups) == 1 and groups[0].query_slice else outs[inverse]
            else:
                out = outs.new_zeros(rows * width, *outs.shape[1:]).index_copy(0, order, outs)
            return out.view(rows, width, *out.shape[1:]), None

        return Plan(self.name, f"{len(ask.queries.spans)} sequences in {len(groups)} groups of equal length", run)

    def _attend(self, ask: Ask, group: Group, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> Tensor:
        q_n = _take(q, group.queries, group.query_slice)
        k_n = _take(k, group.keys, group.key_slice)
        v_n = _take(v, group.keys, group.key_slice)
        mask = group.allowed
        if bias is not None:
            mask = bias(q_n, spread(k_n, ask.heads), group.places).to(q.dtype)
            if group.allowed is not None:
                mask = mask.masked_fill(~group.allowed, float("-inf"))
        if mask is not None:
            mask = mask.expand(q_n.shape[0], -1, -1, -1)
        if ask.softcap is not None and group.allowed is not None:
            out = capped_attention(q_n, k_n, v_n, group.allowed, group.blocks, ask.scale, ask.softcap)
        else:
            out = quickest(q_n, k_n, v_n, mask, ask.scale, ask.dropout, causal=group.causal and bias is None)
        return out if group.empty is None else out.masked_fill(group.empty, 0.0)

    def _groups(self, ask: Ask) -> list[Group]:
        q_width, k_width = ask.queries.shape[1], ask.keys.shape[1]
        members: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for (q_row, q_start, q_n), (k_row, k_start, k_n) in zip(ask.queries.sequences, ask.keys.sequences, strict=True):
            members[q_n, k_n].append((q_row * q_width + q_start, k_row * k_width + k_start))
        groups = []
        for (q_n, k_n), starts in members.items():
            q_index = _ranges([a for a, _ in starts], q_n, ask.device)
            k_index = _ranges([b for _, b in starts], k_n, ask.device)
            rule = with_marks(ask.rule, _chosen(ask.queries.marks, q_index), _chosen(ask.keys.marks, k_index))
            causal = rule == Causal() and q_n == k_n
            allowed = empty = None
            if ask.softcap is not None or (rule != Full() and not (causal and not ask.bias)):
                apart = 1 if rule == ask.rule else len(starts)  # marks differ from one sequence to the next
                allowed = rule.matrix(q_n, k_n, rows=apart, heads=ask.heads, device=ask.device)
                nothing = ~allowed.any(-1)
                if bool(nothing.any()):
                    empty = nothing.transpose(1, 2)[..., None]
                    allowed = allowed | nothing[..., None]
            groups.append(
                Group(
                    q_index,
                    k_index,
                    _one_slice(starts[0][0], q_n, starts),
                    _one_slice(starts[0][1], k_n, starts),
                    Places(
                        torch.arange(q_n, device=ask.device)[None],
                        torch.arange(k_n, device=ask.device)[None],
                        _chosen(ask.queries.types, q_index),
                        _chosen(ask.keys.types, k_index),
                        torch.tensor([[q_n]], device=ask.device),
                    ),
                    allowed,
                    empty,
                    causal,
                    spans_of(allowed) if ask.softcap is not None and allowed is not None else [],
                )
            )
        return groups


def _ranges(starts: list[int], length: int, device: torch.device) -> Tensor:
    """[n, length]: each start and what follows."""
    return torch.tensor(starts, device=device)[:, None] + torch.arange(length, device=device)


def _chosen(x_BS: Tensor | None, index: Tensor) -> Tensor | None:
    return None if x_BS is None else x_BS.flatten()[index]


def _whole(batch: Batch) -> bool:
    """Whether the tokens of each sequence stand at the places 0, 1, 2 ..."""
    counted = torch.cat([torch.arange(n) for _, _, n in batch.sequences])
    rows, width = batch.shape
    at = torch.cat([torch.arange(row * width + start, row * width + start + n) for row, start, n in batch.sequences])
    return bool((batch.positions.expand(rows, width).flatten().cpu()[at] == counted).all())


def _is_drawable(rule: Mask) -> bool:
    """Whether the rule, once the marks are known, can be drawn for a sequence by itself."""
    if isinstance(rule, And | Or):
        return all(_is_drawable(part) for part in rule.parts)
    return rule.same_for_all or isinstance(rule, Marked)


def _one_slice(start: int, length: int, starts: list[tuple[int, int]]) -> slice | None:
    return slice(start, start + length) if len(starts) == 1 else None


def _take(flat: Tensor, index: Tensor, one: slice | None) -> Tensor:
    return flat[one][None] if one is not None else flat[index]
