"""The definition of masked attention over again, from sequences and places, in float64 and without our binding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from maskfork import Causal, Full, Mask, Permutation, Prefix, Window
from maskfork.core.batch import Batch, Places
from maskfork.core.cache import Cache
from maskfork.core.kernels.contract import Ask

HEADS, GROUPS, SIZE = 4, 2, 3
LENGTHS = (5, 3, 1)


@dataclass(frozen=True)
class HeadsDiffer(Mask):
    """A rule of one's own: even heads look back, odd heads ahead."""

    def allow(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return ((h % 2 == 0) & (k <= q)) | ((h % 2 == 1) & (k >= q))


@dataclass(frozen=True)
class RowsDiffer(Mask):
    """A rule of one's own that looks at the row, and leaves the second token of each sequence nothing to read."""

    def allow(self, b: Any, h: Any, q: Any, k: Any) -> Any:
        return (q != 1) & ((b % 2 == 0) | (k == 0))


RULES: dict[str, Mask] = {
    "full": Full(),
    "causal": Causal(),
    "window 1,1": Window(1, 1),
    "window 2,0": Window(2, 0),
    "window *,1": Window(None, 1),
    "window 0,*": Window(0, None),
    "prefix 2": Prefix(2),
    "prefix 0": Prefix(0),
    "permutation": Permutation(torch.tensor([3, 0, 4, 1, 2])),
    "permutation, query stream": Permutation(torch.tensor([3, 0, 4, 1, 2]), itself=False),
    "permutation of each row": Permutation(torch.tensor([[4, 0, 3, 1, 2], [1, 2, 0, 4, 3], [0, 2, 1, 3, 4]])),
    "causal & window": Causal() & Window(2, 1),
    "causal | prefix": Causal() | Prefix(3),
    "window & prefix": Window(1, 1) & Prefix(2),
    "(causal & window) | prefix": (Causal() & Window(1, 0)) | Prefix(1),
    "heads differ": HeadsDiffer(),
    "rows differ": RowsDiffer(),
    "heads differ & window": HeadsDiffer() & Window(2, 2),
}  # fmt: skip


@dataclass
class World:
    """One attention: what is asked, and where each sequence's tokens lie.

    `members`: for each sequence its number, the row it lies in, and the storage index of each of its places.
    `first` is the storage index of the first query.
    """

    ask: Ask
    members: list[tuple[int, int, list[int]]]
    first: int

    @property
    def kept(self) -> Tensor:
        """bool [B, Q]: queries that are no padding."""
        rows, queries, _ = self.ask.sizes
        kept = torch.zeros(rows, queries, dtype=torch.bool)
        for _, row, places in self.members:
            for at in places:
                if at >= self.first:
                    kept[row, at - self.first] = True
        return kept

    def allowed(self) -> Tensor:
        """bool [B, H, Q, K], cell by cell from the rule's own predicate."""
        rows, queries, keys = self.ask.sizes
        allowed = torch.zeros(rows, HEADS, queries, keys, dtype=torch.bool)
        for number, row, places in self.members:
            for q, q_at in enumerate(places):
                for k, k_at in enumerate(places):
                    for h in range(HEADS):
                        if q_at >= self.first:
                            allowed[row, h, q_at - self.first, k_at] = bool(self.ask.rule.allow(number, h, q, k))
        return allowed


def world(rule: Mask, layout: str, *, bias: bool = False, grad: bool = True, **more: Any) -> World:
    """`layout`: none, right, left, one (a single left-padded row), holes, packed; with `+cache` the last two places are asked."""
    kind, _, cached = layout.partition("+")
    keep = torch.zeros(3, 5, dtype=torch.long)
    for row, n in enumerate(LENGTHS):
        keep[row, slice(0, n) if kind == "right" else slice(5 - n, 5)] = 1
    if kind == "none":
        keep[:] = 1
    if kind == "one":
        keep = keep[1:2]
    if kind == "holes":
        keep = torch.tensor([[1, 0, 1, 1, 0], [0, 1, 0, 0, 1], [1, 1, 1, 0, 1]])
    tokens = torch.arange(5).expand(keep.shape[0], 5)
    if kind == "packed":
        batch = Batch.packed([[7] * n for n in LENGTHS])
        starts = [0, 5, 8]
        members = [(i, 0, list(range(s, s + n))) for i, (s, n) in enumerate(zip(starts, LENGTHS, strict=True))]
    else:
        batch = Batch.padded(tokens, None if kind == "none" else keep)
        members = [(row, row, keep[row].nonzero().flatten().tolist()) for row in range(keep.shape[0])]
    stored, first = batch, 0
    if cached:
        first, cache = 3, Cache()
        _, stored = cache.place(Batch.padded(tokens[:, :3], keep[:, :3]))
        cache.advance(stored)
        batch, stored = cache.place(Batch.padded(tokens[:, 3:], keep[:, 3:]))
    ask = Ask(
        rule=rule, queries=batch, keys=stored, heads=HEADS, kv_heads=GROUPS, scale=0.7, offset=first, bias=bias, grad=grad, **more
    )  # fmt: skip
    return World(ask, members, first)


def bias_of(table: Tensor) -> Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]:
    """A bias that reads places, queries and keys; `table` [H, 16]."""

    def bias(q: Tensor, k: Tensor, at: Places) -> Tensor:
        distance = (at.queries[:, :, None] - at.keys[:, None, :]).clamp(-7, 7) + 8
        content = q[..., 0].permute(0, 2, 1)[..., :, None] * k[..., 1].permute(0, 2, 1)[..., None, :]
        return table.to(q.dtype)[:, distance].transpose(0, 1) + content

    return bias


def tensors(world: World, seed: int = 0) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """q [B, Q, H, D], k and v [B, K, G, D], table [H, 16], float64 with gradients."""
    rows, queries, keys = world.ask.sizes
    g = torch.Generator().manual_seed(seed)
    shapes = (rows, queries, HEADS, SIZE), (rows, keys, GROUPS, SIZE), (rows, keys, GROUPS, SIZE), (HEADS, 16)
    made = [torch.randn(*s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]
    return made[0], made[1], made[2], made[3]


def attend(world: World, q: Tensor, k: Tensor, v: Tensor, table: Tensor | None) -> Tensor:
    """[B, Q, H, D], one query at a time over the keys that it may read; nothing to read gives zeros."""
    allowed = world.allowed()
    k, v = k.repeat_interleave(HEADS // GROUPS, 2), v.repeat_interleave(HEADS // GROUPS, 2)
    queries, keys = world.ask.queries, world.ask.keys
    added = (
        None
        if table is None
        else bias_of(table)(q, k, Places(queries.positions.expand(queries.shape), keys.positions.expand(keys.shape)))
    )
    rows = []
    for b in range(q.shape[0]):
        for i in range(q.shape[1]):
            for h in range(HEADS):
                read = allowed[b, h, i].nonzero().flatten()
                logits = (k[b, read, h] @ q[b, i, h]) * world.ask.scale
                if added is not None:
                    logits = logits + added[b, h, i, read]
                if world.ask.softcap is not None:
                    logits = world.ask.softcap * torch.tanh(logits / world.ask.softcap)
                rows.append((logits.exp() / logits.exp().sum()) @ v[b, read, h] if len(read) else torch.zeros(SIZE).double())
    return torch.stack(rows).view(q.shape[0], q.shape[1], HEADS, SIZE)
