"""How far a student's states and attention are from its teacher's: what distillation makes small.

States and attention scores are TinyBERT's (Jiao et al. 2020, section 3.1), relations MiniLMv2's (Wang et al. 2021, section 3).

Legend: N sequences, L longest, H heads, D head size, E width, R relation heads.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from maskfork.core.batch import Batch
from maskfork.core.mask import Causal
from maskfork.errors import UsageError
from maskfork.learn.objectives.watching import Seen
from maskfork.models.model import Model


def states_apart(
    mine: Seen, theirs: Seen, kept: Tensor, project: Callable[[Tensor], Tensor], layers: Sequence[int] | None = None
) -> Tensor:
    """Mean over embeddings and layers of the mean squared error at the kept tokens; `project` makes states as wide."""
    pairs = zip(mine.states, [theirs.states[n] for n in _matched(mine, theirs, layers)], strict=True)
    return torch.stack([F.mse_loss(project(own[kept]), known[kept]) for own, known in pairs]).mean()


def relations_apart(student: Model, mine: Seen, theirs: Seen, batch: Batch, heads: int) -> Tensor:
    """Mean over the last queries, keys and values, heads and tokens of KL(teacher's relation, student's)."""
    allowed = _allowed(student, batch)
    found = []
    for own, known in zip(mine.heads[-1], theirs.heads[-1], strict=True):
        said, meant = (_relation(x, batch, heads, allowed) for x in (own, known))
        each = (meant.exp() * (meant - said)).masked_fill(~allowed[:, None], 0.0).sum(-1)
        found.append(each.sum() / (allowed.any(-1).sum() * heads))
    return torch.stack(found).mean()


def scores_apart(
    student: Model, teacher: Model, mine: Seen, theirs: Seen, batch: Batch, layers: Sequence[int] | None = None
) -> Tensor:
    """Mean over layers of the mean squared error of the attention's logits before the softmax."""
    allowed = _allowed(student, batch)
    scale = student.spec.main.attention.scale, teacher.spec.main.attention.scale
    matched = [theirs.heads[n - 1] for n in _matched(mine, theirs, layers)[1:]]
    found = []
    for own, known in zip(mine.heads, matched, strict=True):
        said, meant = (_products(x, batch, s) for x, s in zip((own, known), scale, strict=True))
        kept = allowed[:, None].expand_as(said)
        found.append(F.mse_loss(said[kept], meant[kept]))
    return torch.stack(found).mean()


def _matched(mine: Seen, theirs: Seen, layers: Sequence[int] | None) -> list[int]:
    """For the student's embeddings and layers the teacher's, counted from 0 for the embeddings."""
    depth, deep = len(mine.states) - 1, len(theirs.states) - 1
    return [0, *(layers or [round((i + 1) * deep / depth) for i in range(depth)])]


def _allowed(model: Model, batch: Batch) -> Tensor:
    """bool [N, L, L]: which pairs of tokens of a sequence are compared: no padding, and no future in a decoder."""
    lengths = torch.tensor([n for _, _, n in batch.sequences], device=batch.tokens.device)
    at = torch.arange(int(lengths.max()), device=lengths.device)
    inside = at < lengths[:, None]
    allowed = inside[:, None, :] & inside[:, :, None]
    return allowed & (at <= at[:, None]) if model.spec.main.masks[-1] == Causal() else allowed


def _relation(x_BSHD: Tensor, batch: Batch, heads: int, allowed: Tensor) -> Tensor:
    """log softmax [N, R, L, L] of how alike tokens are in each of R equal parts."""
    flat = batch.unpack(x_BSHD.flatten(2))
    if flat.shape[-1] % heads:
        raise UsageError(f"{heads} relation heads do not divide a width of {flat.shape[-1]}: name a relation_heads that does")
    parts = flat.unflatten(-1, (heads, -1)).transpose(1, 2)  # type: ignore[no-untyped-call]
    alike = parts @ parts.transpose(-1, -2) / parts.shape[-1] ** 0.5
    return alike.float().masked_fill(~allowed[:, None], -1e4).log_softmax(-1)  # type: ignore[no-any-return]


def _products(heads: tuple[Tensor, Tensor, Tensor], batch: Batch, scale: float | None) -> Tensor:
    """[N, H, L, L]: queries times keys, scaled."""
    q, k = (batch.unpack(x).transpose(1, 2) for x in heads[:2])
    k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)
    return q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
