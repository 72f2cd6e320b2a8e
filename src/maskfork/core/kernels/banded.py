"""Long sequences under a rule that looks a little way only: time and memory grow with the length, not with its square.

                 keys                         Window(2, 1) over 12 tokens, queries in chunks of 4: a chunk reads its own
    queries      0 1 2 3 4 5 6 7 8 9 . .      keys, 2 before and 1 after them; the rule itself says which of these a query
     0 ..  3     ▒ ▒ ▒ ▒ ▒                    may see. Keys that all may see (marked tokens, a text's first and last block)
     4 ..  7         ▒ ▒ ▒ ▒ ▒ ▒ ▒            are put beside the band; queries that may see all are computed by themselves.
     8 .. 11                 ▒ ▒ ▒ ▒ ▒ ▒

Legend: N chunks (or texts), C queries of a chunk, K keys that it reads, M tokens that reach beyond, H heads, D head size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from maskfork.core.batch import Places
from maskfork.core.kernels.contract import Ask, Bias, Plan, Refusal, spread
from maskfork.core.kernels.reach import Reach, reach
from maskfork.core.kernels.sdpa import attend


@dataclass(frozen=True, eq=False)
class Part:
    """N small attentions: `queries` [N, C] and `keys` [N, K] are storage indices into the flattened tokens, `real` [N, C] marks
    queries that are no filling."""

    queries: Tensor
    keys: Tensor
    real: Tensor
    added: Tensor  # [N, 1 or H, C, K]: 0 where a query may read a key, -inf where it may not
    empty: Tensor  # [N, C, 1 or H, 1]
    places: Places


class Banded:
    """Through torch's kernel, chunk by chunk; exact for every rule whose reach is known."""

    name = "banded"

    def plan(self, ask: Ask) -> Plan | Refusal:
        if ask.weights:
            return Refusal(self.name, "it does not give the attention weights")
        if ask.softcap is not None:
            return Refusal(self.name, "it cannot cap the logits")
        if ask.offset or ask.queries is not ask.keys:
            return Refusal(self.name, "queries and keys are not the tokens of one batch")
        far = reach(ask.rule, ask.keys)
        if far.width is None:
            return Refusal(self.name, f"{ask.rule} looks over the whole sequence")
        if ask.keys.spans is None:
            return Refusal(self.name, "a sequence has holes in its attention mask")
        if not ask.keys.spans:
            return Refusal(self.name, "there is no token")
        parts = _Cut(ask, far).parts()
        count, size, keys = *parts[0].queries.shape, parts[0].keys.shape[1]
        rows, width = ask.keys.shape

        def run(q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> tuple[Tensor, Tensor | None]:
            flat = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
            out = v.new_zeros(rows * width, ask.heads, v.shape[-1])
            for part in parts:
                out = out.index_copy(0, part.queries[part.real], _attend(ask, part, *flat, bias)[part.real])
            return out.view(rows, width, *out.shape[1:]), None

        return Plan(self.name, f"{count} chunks of {size} queries, {keys} keys each", run)


def is_long(ask: Ask) -> bool:
    """Whether a text of this ask is so much longer than its rule looks that cutting it up pays."""
    if ask.queries is not ask.keys or ask.keys.shape[1] < SHORTEST:
        return False
    far = reach(ask.rule, ask.keys)
    return far.width is not None and _longest(ask) >= TIMES * (far.width + _chunk(far))


SHORTEST, TIMES = 512, 1.3  # measured on a CPU, see docs/log.md


def _longest(ask: Ask) -> int:
    return max((n for _, _, n in ask.keys.spans or ()), default=0)


def _chunk(far: Reach) -> int:
    """Queries of a chunk: about half of what they read beside their own keys."""
    return max(64, (far.width or 1) // 2)


def _attend(ask: Ask, part: Part, q: Tensor, k: Tensor, v: Tensor, bias: Bias | None) -> Tensor:
    """[N, C, H, D]"""

    def gather(x: Tensor, at: Tensor) -> Tensor:
        return spread(x.index_select(0, at.flatten()).view(*at.shape, *x.shape[1:]), ask.heads)

    q_n, k_n, v_n = gather(q, part.queries), gather(k, part.keys), gather(v, part.keys)
    mask = part.added.to(q.dtype)
    if bias is not None:
        mask = mask + bias(q_n, k_n, part.places).to(q.dtype)
    mask = mask.expand(len(part.queries), -1, -1, -1)
    again = {
        made.data_ptr(): partial(gather, x.detach(), at)
        for made, x, at in ((q_n, q, part.queries), (k_n, k, part.keys), (v_n, v, part.keys))
    }
    with _forgotten(again):
        out = attend(q_n, k_n, v_n, mask, ask.scale, ask.dropout, causal=False)
    return out.masked_fill(part.empty, 0.0)


def _forgotten(known: Mapping[int, Callable[[], Tensor]]) -> saved_tensors_hooks:
    """What is gathered is several times as much as it was gathered from: the backward pass gathers it anew.

    `known` tells by where a tensor lies in memory how it is made again.
    """

    def pack(x: Tensor) -> Tensor | _View:
        make = known.get(x.data_ptr()) if x.dim() == 4 else None
        return x if make is None else _View(make, x.shape, x.stride())

    def unpack(kept: Tensor | _View) -> Tensor:
        return kept if isinstance(kept, Tensor) else kept.make().as_strided(kept.shape, kept.stride)

    return saved_tensors_hooks(pack, unpack)


@dataclass(frozen=True)
class _View:
    """A tensor that can be made again."""

    make: Callable[[], Tensor]
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Cut:
    """The chunks of a batch, and the queries that reach beyond them."""

    def __init__(self, ask: Ask, far: Reach) -> None:
        self.ask, self.far, self.rule = ask, far, ask.bound
        spans = torch.tensor(ask.keys.sequences, device=ask.device)
        self.row, self.start, self.length = spans.unbind(1)
        self.beyond, self.there = self._beyond()

    def parts(self) -> list[Part]:
        chunk = _chunk(self.far)
        pieces = -(-self.length // chunk)
        of = torch.repeat_interleave(torch.arange(len(self.length), device=self.ask.device), pieces)
        nth = torch.arange(len(of), device=of.device) - (pieces.cumsum(0) - pieces)[of]
        before, width = self.far.before or 0, self.far.width or 1
        q_NC = nth[:, None] * chunk + torch.arange(chunk, device=of.device)
        k_NK = q_NC[:, :1] - before + torch.arange(chunk + width - 1, device=of.device)
        first, last = k_NK[:, :1], k_NK[:, -1:]
        in_text = (k_NK >= 0) & (k_NK < self.length[of, None])
        beside = self.beyond[of]
        apart = self.there[of] & ((beside < first) | (beside > last))
        real = q_NC < self.length[of, None]
        parts = [self._part(of, q_NC, real, torch.cat([k_NK, beside], 1), torch.cat([in_text, apart], 1))]
        if self.beyond.shape[1]:
            all_keys = torch.arange(int(self.length.max()), device=of.device).expand(len(self.length), -1)
            every = torch.arange(len(self.length), device=of.device)
            parts.append(self._part(every, self.beyond, self.there, all_keys, all_keys < self.length[:, None]))
        return parts

    def _beyond(self) -> tuple[Tensor, Tensor]:
        """Places [texts, M] of the tokens that reach beyond the band, and which of these are no filling."""
        texts, far = len(self.length), self.far.beyond
        if far is None:
            none = torch.zeros(texts, 0, dtype=torch.long, device=self.ask.device)
            return none, none.bool()
        found = [far[row, start : start + n].nonzero().flatten() for row, start, n in self.ask.keys.sequences]
        most = max(len(x) for x in found)
        places = torch.zeros(texts, most, dtype=torch.long, device=self.ask.device)
        for i, x in enumerate(found):
            places[i, : len(x)] = x
        counts = torch.tensor([len(x) for x in found], device=places.device)
        return places, torch.arange(most, device=places.device) < counts[:, None]

    def _part(self, of: Tensor, q_NC: Tensor, real: Tensor, k_NK: Tensor, there: Tensor) -> Part:
        """`of` [N]: the text of each chunk; places in it, of which `real` and `there` are no filling."""
        ask, row, last = self.ask, self.row[of], self.length[of, None] - 1
        q_NC, k_NK = q_NC.clamp(min=0).minimum(last), k_NK.clamp(min=0).minimum(last)
        q_at, k_at = (x + self.start[of, None] for x in (q_NC, k_NK))  # storage indices in their row
        heads = torch.arange(ask.heads, device=ask.device).view(1, -1, 1, 1)
        said = self.rule.allow(row.view(-1, 1, 1, 1), heads, q_at[:, None, :, None], k_at[:, None, None, :])
        allowed = said & there[:, None, None, :]
        nothing = ~allowed.any(-1)
        base = (row * ask.keys.shape[1])[:, None]
        types = None if ask.keys.types is None else ask.keys.types.flatten()
        q_types, k_types = (None if types is None else types[base + at] for at in (q_at, k_at))
        places = Places(q_NC, k_NK, q_types, k_types, self.length[of, None])
        barred = ~(allowed | nothing[..., None])
        added = torch.zeros(barred.shape, device=ask.device).masked_fill_(barred, float("-inf"))
        return Part(base + q_at, base + k_at, real, added, nothing.transpose(1, 2)[..., None], places)
