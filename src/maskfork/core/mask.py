"""Who may attend to whom.

A mask is a frozen, printable value with one predicate, `allow(b, h, q, k)`: may the query at place `q` of row `b`, in head
`h`, read the key at place `k`? Rules compose with `&` and `|`. A mask is never additive; a bias is another type.

    Full()               Causal()             Window(1, 1)         Prefix(2)
      k 0 1 2 3            k 0 1 2 3            k 0 1 2 3            k 0 1 2 3
    q 0 ✓ ✓ ✓ ✓          q 0 ✓ ✗ ✗ ✗          q 0 ✓ ✓ ✗ ✗          q 0 ✓ ✓ ✗ ✗
      1 ✓ ✓ ✓ ✓            1 ✓ ✓ ✗ ✗            1 ✓ ✓ ✓ ✗            1 ✓ ✓ ✗ ✗
      2 ✓ ✓ ✓ ✓            2 ✓ ✓ ✓ ✗            2 ✗ ✓ ✓ ✓            2 ✓ ✓ ✓ ✗
      3 ✓ ✓ ✓ ✓            3 ✓ ✓ ✓ ✓            3 ✗ ✗ ✓ ✓            3 ✓ ✓ ✓ ✓

Decided once for the whole house: a window does not count the token itself; a query that may read nothing gets zeros.
Rules (`Full Causal Window Chunk Prefix Permutation`) speak of places inside one sequence; `Keep` and `Segments` carry a batch's
padding and packing and speak of storage indices. A rule whose answer depends on where a sequence starts is translated by
`Placed` when sequences are packed or padded on the left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from maskfork.errors import UsageError

Index = Any  # an int, or an integer tensor that broadcasts with the others


class Mask:
    """A rule: subclasses give `allow`. Values compare by content, except those that hold a batch's tensors."""

    #: what `q` and `k` are to the rule. "order": only which comes first; "distance": only q - k; "place": where in its
    #: sequence a token stands; "storage": where in the batch's tensors it lies
    speaks_of: ClassVar[Literal["order", "distance", "place", "storage"]] = "place"
    #: the rule says the same of every sequence: it does not look at `b`
    same_for_all: ClassVar[bool] = False
    #: the rule depends on how long a sequence is: `sized` makes it one that can be asked
    needs_lengths: ClassVar[bool] = False

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        """True where query `q` may read key `k`. Arguments broadcast: ints give a bool, tensors a bool tensor."""
        raise TypeError(f"{type(self).__name__} is not a mask: it has no allow(b, h, q, k)")

    def sized(self, lengths: Tensor) -> Mask:
        """The rule for sequences of these lengths [N], by row or by number; one length holds for all."""
        return self

    def in_training(self) -> Mask:
        """The rule that holds while the model is trained: another one where chance has a part in it."""
        return self

    def __and__(self, other: Mask) -> Mask:
        return conjunction([self, other])

    def __or__(self, other: Mask) -> Mask:
        if self == Full() or other == Full():
            return Full()
        return self if self == other else Or(disjuncts(self) + disjuncts(other))

    def matrix(
        self,
        queries: int,
        keys: int | None = None,
        *,
        rows: int = 1,
        heads: int = 1,
        offset: int = 0,
        device: torch.device | str | None = None,
    ) -> Tensor:
        """The rule as a bool tensor [B or 1, H or 1, Q, K].

        `offset` is the place of the first query: with a cache of P tokens it is P. `keys` defaults to offset + queries.
        """
        keys = offset + queries if keys is None else keys
        b = torch.arange(rows, device=device).view(-1, 1, 1, 1)
        h = torch.arange(heads, device=device).view(1, -1, 1, 1)
        q = torch.arange(offset, offset + queries, device=device).view(1, 1, -1, 1)
        k = torch.arange(keys, device=device).view(1, 1, 1, -1)
        rule = self.sized(torch.tensor([keys], device=device)) if self.needs_lengths else self
        allowed = torch.as_tensor(rule.allow(b, h, q, k), device=device)
        return allowed.expand(allowed.shape[0], allowed.shape[1], queries, keys)

    def show(self, tokens: Sequence[str]) -> str:
        """Draw the rule over these tokens: a line per query, ✓ where it may read the key, ✗ where it may not."""
        allowed = self.matrix(len(tokens))[0, 0]
        wide = max((len(t) for t in tokens), default=0)
        heads = " ".join(f"{t:>{max(len(t), 1)}}" for t in tokens)
        lines = [" " * (wide + 1) + heads]
        for token, row in zip(tokens, allowed.tolist(), strict=True):
            cells = (f"{'✓' if ok else '✗':>{max(len(t), 1)}}" for ok, t in zip(row, tokens, strict=True))
            lines.append(f"{token:>{wide}} " + " ".join(cells))
        return "\n".join(lines)


@dataclass(frozen=True)
class Full(Mask):
    """Every token sees every token (BERT)."""

    speaks_of = "order"
    same_for_all = True

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return (q == q) & (k == k)  # noqa: PLR0124 (true, in the arguments' broadcast shape)


@dataclass(frozen=True)
class Causal(Mask):
    """A token sees itself and the past (GPT)."""

    speaks_of = "order"
    same_for_all = True

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return k <= q


@dataclass(frozen=True)
class Window(Mask):
    """A token sees itself, `before` tokens to its left and `after` to its right; None means no limit on that side.

    The token itself is not counted: Mistral's `sliding_window=W`, which counts it, is `Causal() & Window(W - 1, 0)`.
    """

    before: int | None
    after: int | None = 0
    speaks_of = "distance"
    same_for_all = True

    def __post_init__(self) -> None:
        for side in (self.before, self.after):
            if side is not None and side < 0:
                raise UsageError(f"a window cannot be negative, but got {self}: use 0 to see only the token itself")

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        seen = (q == q) & (k == k)  # noqa: PLR0124
        if self.before is not None:
            seen = seen & (q - k <= self.before)
        if self.after is not None:
            seen = seen & (k - q <= self.after)
        return seen


@dataclass(frozen=True)
class Prefix(Mask):
    """The first `length` tokens see each other in full, the rest is causal (prefix LM; T5, section 3.2.1)."""

    length: int
    same_for_all = True

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return (k < self.length) | (k <= q)


@dataclass(frozen=True, eq=False)
class PrefixIn(Mask):
    """`Prefix` with a length of its own for each sequence: `lengths` [N], by row, or by number where a row is packed."""

    lengths: Tensor

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return (k < self.lengths[b]) | (k <= q)

    def __repr__(self) -> str:
        return f"Prefix({int(self.lengths.min())} to {int(self.lengths.max())})"


@dataclass(frozen=True, eq=False)
class Permutation(Mask):
    """A token sees those that come earlier in a factorisation order (XLNet, section 2.2).

    `order` [S] or [B, S] gives each place its turn; `itself` is True for the content stream, False for the query stream.
    """

    order: Tensor
    itself: bool = True

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        order = self.order if self.order.dim() == 2 else self.order[None]
        row = b if order.shape[0] > 1 else 0
        turn_q, turn_k = order[row, q], order[row, k]
        return turn_k <= turn_q if self.itself else turn_k < turn_q

    def __repr__(self) -> str:
        return f"Permutation(order={list(self.order.shape)}, itself={self.itself})"


@dataclass(frozen=True)
class Marked(Mask):
    """Marked tokens read all and are read by all (Longformer's global attention). A batch says which they are (`marks`)."""

    speaks_of = "storage"

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return (q != q) & (k != k)  # noqa: PLR0124 (without a batch nothing is marked)


@dataclass(frozen=True, eq=False)
class MarkedIn(Mask):
    """`Marked` in a batch: bool [B, Q] and [B, K]."""

    queries: Tensor
    keys: Tensor
    speaks_of = "storage"

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return self.queries[b, q] | self.keys[b, k]

    def __repr__(self) -> str:
        return f"Marked({int(self.keys.sum())} tokens)"


@dataclass(frozen=True)
class Chunk(Mask):
    """A token sees the tokens of its own chunk of `size` places."""

    size: int
    same_for_all = True

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return q // self.size == k // self.size


@dataclass(frozen=True)
class Behind(Mask):
    """The rule of a text that `count` virtual tokens lead: they are read by all and read only each other.

    Places are counted from the first virtual token; the rule speaks of the text's own.
    """

    rule: Mask
    count: int

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        inside = self.rule.allow(b, h, q - self.count, k - self.count)
        return (k < self.count) | (inside & (q >= self.count) & (k >= self.count))

    @property
    def same_for_all(self) -> bool:  # type: ignore[override]
        return is_static(self.rule)

    def in_training(self) -> Mask:
        return Behind(self.rule.in_training(), self.count)

    def __repr__(self) -> str:
        return f"({self.rule} behind {self.count})"


@dataclass(frozen=True, eq=False)
class BehindIn(Mask):
    """`Behind` with a count of its own for each row: `counts` [B]."""

    rule: Mask
    counts: Tensor

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        count = self.counts[b]
        inside = self.rule.allow(b, h, q - count, k - count)
        return (k < count) | (inside & (q >= count) & (k >= count))

    def __repr__(self) -> str:
        return f"({self.rule} behind {int(self.counts.min())} to {int(self.counts.max())})"


@dataclass(frozen=True, eq=False)
class Keep(Mask):
    """Only keys with `keep[b, k]` are read: padding, or the source of cross-attention. `keep` is bool [B, K]."""

    keep: Tensor
    speaks_of = "storage"

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        row = b if self.keep.shape[0] > 1 else 0
        return self.keep[row, k] & (q == q)  # noqa: PLR0124

    def __repr__(self) -> str:
        return f"Keep({list(self.keep.shape)})"


@dataclass(frozen=True, eq=False)
class Segments(Mask):
    """Tokens read only their own document: packing. Ids are integers [B, Q] and [B, K]; -1 is padding, read by nobody."""

    queries: Tensor
    keys: Tensor = field(default=None)  # type: ignore[assignment]
    speaks_of = "storage"

    def __post_init__(self) -> None:
        if self.keys is None:
            object.__setattr__(self, "keys", self.queries)

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        of_query = self.queries[b if self.queries.shape[0] > 1 else 0, q]
        of_key = self.keys[b if self.keys.shape[0] > 1 else 0, k]
        return (of_query == of_key) & (of_key >= 0)

    def __repr__(self) -> str:
        return f"Segments({list(self.queries.shape)} -> {list(self.keys.shape)})"


@dataclass(frozen=True, eq=False)
class Branches(Mask):
    """A token reads itself and what leads to it in a tree of tokens that is stored in preorder: texts that share beginnings.

    `ends` [B or 1, K]: where the branch that begins with a token ends in storage.
    """

    ends: Tensor
    speaks_of = "storage"

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return (k <= q) & (q < self.ends[b if self.ends.shape[0] > 1 else 0, k])

    def __repr__(self) -> str:
        return f"Branches({list(self.ends.shape)})"


@dataclass(frozen=True, eq=False)
class Placed(Mask):
    """A rule about places inside a sequence, asked about storage indices.

    `rows`, `queries`, `keys` [B, S] give each storage index its sequence's number and its place in that sequence.
    """

    rule: Mask
    rows: Tensor
    queries: Tensor
    keys: Tensor
    speaks_of = "storage"

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return self.rule.allow(self.rows[b, q], h, self.queries[b, q], self.keys[b, k])

    def __repr__(self) -> str:
        return f"Placed({self.rule})"


@dataclass(frozen=True)
class And(Mask):
    """Every part must allow."""

    parts: tuple[Mask, ...]

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return reduce(lambda x, y: x & y, (p.allow(b, h, q, k) for p in self.parts))

    @property
    def needs_lengths(self) -> bool:  # type: ignore[override]
        return any(p.needs_lengths for p in self.parts)

    def sized(self, lengths: Tensor) -> Mask:
        return conjunction([p.sized(lengths) for p in self.parts])

    def in_training(self) -> Mask:
        return conjunction([p.in_training() for p in self.parts])

    def __repr__(self) -> str:
        return " & ".join(f"({p})" if isinstance(p, Or) else repr(p) for p in self.parts)


@dataclass(frozen=True)
class Or(Mask):
    """Some part must allow."""

    parts: tuple[Mask, ...]

    def allow(self, b: Index, h: Index, q: Index, k: Index) -> Any:
        return reduce(lambda x, y: x | y, (p.allow(b, h, q, k) for p in self.parts))

    @property
    def needs_lengths(self) -> bool:  # type: ignore[override]
        return any(p.needs_lengths for p in self.parts)

    def sized(self, lengths: Tensor) -> Mask:
        return reduce(lambda x, y: x | y, (p.sized(lengths) for p in self.parts))

    def in_training(self) -> Mask:
        return reduce(lambda x, y: x | y, (p.in_training() for p in self.parts))

    def __repr__(self) -> str:
        return " | ".join(f"({p})" if isinstance(p, And) else repr(p) for p in self.parts)


def conjuncts(mask: Mask) -> tuple[Mask, ...]:
    """The parts that must all allow, `Full` left out: what a kernel looks through for the parts that it knows."""
    if isinstance(mask, And):
        return mask.parts
    return () if mask == Full() else (mask,)


def disjuncts(mask: Mask) -> tuple[Mask, ...]:
    """The parts of which one must allow."""
    return mask.parts if isinstance(mask, Or) else (mask,)


def conjunction(masks: Sequence[Mask]) -> Mask:
    """`&` over any number of masks, flattened, `Full` and repeats left out."""
    parts: list[Mask] = []
    for mask in masks:
        parts += [p for p in conjuncts(mask) if p not in parts]
    if not parts:
        return Full()
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def with_marks(rule: Mask, queries: Tensor | None, keys: Tensor | None) -> Mask:
    """The rule with the marks of a batch for `Marked`; without marks, an alternative that speaks of them is left out."""
    if isinstance(rule, And):
        return conjunction([with_marks(p, queries, keys) for p in rule.parts])
    if isinstance(rule, Or):
        unmarked = queries is None or keys is None
        left = tuple(p for p in rule.parts if not (unmarked and isinstance(p, Marked))) or rule.parts[:1]
        return reduce(lambda x, y: x | y, (with_marks(p, queries, keys) for p in left))
    if isinstance(rule, Marked) and queries is not None and keys is not None:
        return MarkedIn(queries, keys)
    return rule


def is_static(mask: Mask) -> bool:
    """Whether the rule says the same of every sequence, so that one drawing holds for a whole batch."""
    if isinstance(mask, And | Or):
        return all(is_static(p) for p in mask.parts)
    return mask.same_for_all


def parse_rule(text: str) -> Mask:
    """Read `full`, `causal`, `prefix:2`, `window:1` (one to each side), `window:2,0`, joined by `&` or `|`.

    `&` binds before `|`. Raises UsageError with the list of rules.
    """
    alternatives = [conjunction([_parse_one(part) for part in one.split("&")]) for one in text.split("|")]
    return reduce(lambda x, y: x | y, alternatives)


def _parse_one(text: str) -> Mask:
    name, _, rest = text.strip().lower().partition(":")
    try:
        numbers = [None if n.strip() in ("", "*") else int(n) for n in rest.split(",")] if rest else []
    except ValueError:
        numbers = [None] * 9
    match name, numbers:
        case "full", []:
            return Full()
        case "causal", []:
            return Causal()
        case "prefix", [int(length)] if length >= 0:
            return Prefix(length)
        case "window", [int(each)]:
            return Window(each, each)
        case "window", [before, after]:
            return Window(before, after)
    raise UsageError(
        f"'{text.strip()}' is not a mask rule: use full, causal, prefix:N, window:N or window:BEFORE,AFTER, joined by & or |"
    )
