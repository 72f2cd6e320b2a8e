"""Tokens and where they stand: one object for padded and packed batches.

    padded [B, S]                 packed [1, T]: the same sequences, one after the other
    the cat sat  .  .             the cat sat he ran away from it
    he  ran away from it          0   0   0   1  1   1    1    1     <- segments
    ✓   ✓   ✓   ✗  ✗  <- keep     0   1   2   0  1   2    3    4     <- positions

Everything token-wise runs on either shape alike; only the mask knows the difference (`Keep` or `Segments`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import torch
from torch import Tensor

from maskfork.core.mask import And, Branches, Full, Keep, Mask, Or, Placed, Segments, conjunction, with_marks
from maskfork.errors import UsageError


@dataclass(frozen=True, eq=False)
class Batch:
    """Token ids with their places.

    tokens [B, S] int64; positions [B or 1, S] int64, counted from each sequence's first kept token;
    keep [B, S] bool or None where every token counts; types [B, S] int64 or None (BERT's sentence A/B);
    segments [B, S] int64 or None: which document of its row a token belongs to, -1 for padding;
    marks [B, S] bool or None: tokens that the rule `Marked` speaks of (Longformer's global tokens);
    words [B, S] int64 or None: which word of its sequence a token belongs to, -1 for special tokens (whole-word masking);
    documents [B, S] int64 or None: which document of the corpus a token is of, -1 for special tokens (next sentences);
    ends [B or 1, S] int64 or None: the tokens of a row are a tree in preorder, and where the branch of each ends (`tree`).
    """

    tokens: Tensor
    positions: Tensor
    keep: Tensor | None = None
    types: Tensor | None = None
    segments: Tensor | None = None
    marks: Tensor | None = None
    words: Tensor | None = None
    documents: Tensor | None = None
    ends: Tensor | None = None

    @staticmethod
    def padded(
        tokens: Tensor, attention_mask: Tensor | None = None, types: Tensor | None = None, marks: Tensor | None = None
    ) -> Batch:
        """From `input_ids` [B, S] and an `attention_mask` [B, S] of ones and zeros, padding on either side."""
        if tokens.dim() != 2:
            raise UsageError(f"input_ids must be [batch, length], but its shape is {list(tokens.shape)}")
        if types is not None and types.shape != tokens.shape:
            raise UsageError(f"token_type_ids {list(types.shape)} must have the shape of input_ids {list(tokens.shape)}")
        keep = None
        positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        if attention_mask is not None:
            if attention_mask.shape != tokens.shape:
                raise UsageError(
                    f"attention_mask {list(attention_mask.shape)} must have the shape of input_ids {list(tokens.shape)}"
                )
            keep = attention_mask.bool()
            if bool(keep.all()):
                keep = None
            elif not bool((keep[:, 1:] <= keep[:, :-1]).all()):  # something other than padding on the right
                positions = (keep.long().cumsum(-1) - 1).clamp_min(0)
        if marks is not None and marks.shape != tokens.shape:
            raise UsageError(f"global_attention_mask {list(marks.shape)} must have the shape of input_ids {list(tokens.shape)}")
        return Batch(tokens, positions, keep, types, marks=None if marks is None else marks.bool())

    @staticmethod
    def from_lists(sequences: Sequence[Sequence[int]], pad_id: int, types: Sequence[Sequence[int]] | None = None) -> Batch:
        """Sequences of token ids, padded on the right to the longest."""
        longest = max((len(s) for s in sequences), default=0)
        tokens = torch.full((len(sequences), longest), pad_id, dtype=torch.long)
        keep = torch.zeros_like(tokens)
        kinds = None if types is None else torch.zeros_like(tokens)
        for row, ids in enumerate(sequences):
            tokens[row, : len(ids)] = torch.as_tensor(ids, dtype=torch.long)
            keep[row, : len(ids)] = 1
            if kinds is not None and types is not None:
                kinds[row, : len(ids)] = torch.as_tensor(types[row], dtype=torch.long)
        return Batch.padded(tokens, keep, kinds)

    @staticmethod
    def packed(sequences: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None, *, multiple: int = 1) -> Batch:
        """Sequences of token ids, one after the other in a single row [1, T], kept apart by their segments.

        T is filled up to a `multiple` with tokens of no sequence (segment -1), which nobody reads: a library that compiles a
        kernel for every shape then sees few shapes.
        """
        lengths = [len(s) for s in sequences]
        fill = -sum(lengths) % multiple
        tokens = torch.tensor([[t for s in sequences for t in s] + [0] * fill], dtype=torch.long)
        positions = torch.tensor([[p for n in lengths for p in range(n)] + [0] * fill], dtype=torch.long)
        numbers, times = [*range(len(lengths)), -1], [*lengths, fill]
        segments = torch.repeat_interleave(torch.tensor(numbers), torch.tensor(times, dtype=torch.long))[None]
        kinds = None if types is None else torch.tensor([[t for s in types for t in s] + [0] * fill], dtype=torch.long)
        batch = Batch(tokens, positions, None, kinds, segments)
        batch.__dict__["spans"] = _spans_of_lengths(lengths)
        return batch

    @staticmethod
    def tree(tokens: Sequence[int], parents: Sequence[int]) -> Batch:
        """Texts that share beginnings, each token once, [1, S]: a token reads itself and what leads to it.

        `parents` are the storage indices of the tokens before, -1 for a first token. In preorder: a branch is one stretch.
        With a cache, the whole tree goes on from what is stored. Raises UsageError where the order is another one.
        """
        depths, ends, path = [], [0] * len(tokens), list[int]()
        for at, parent in enumerate(parents):
            while path and path[-1] != parent:
                ends[path.pop()] = at
            if parent != (path[-1] if path else -1):
                raise UsageError(f"token {at} of the tree goes on from {parent}, which is no open branch: store it in preorder")
            depths.append(len(path))
            path.append(at)
        for at in path:
            ends[at] = len(tokens)
        return Batch(torch.tensor([tokens]), torch.tensor([depths]), ends=torch.tensor([ends]))

    @property
    def shape(self) -> tuple[int, int]:
        """(B, S)"""
        return self.tokens.shape[0], self.tokens.shape[1]

    @property
    def is_packed(self) -> bool:
        return self.segments is not None

    def to(self, device: torch.device | str) -> Batch:
        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device)

        moved = replace(
            self,
            tokens=self.tokens.to(device),
            positions=self.positions.to(device),
            keep=move(self.keep),
            types=move(self.types),
            segments=move(self.segments),
            marks=move(self.marks),
            words=move(self.words),
            documents=move(self.documents),
            ends=move(self.ends),
        )
        if "spans" in self.__dict__:
            moved.__dict__["spans"] = self.spans
        return moved

    @cached_property
    def spans(self) -> tuple[tuple[int, int, int], ...] | None:
        """(row, start, length) of each sequence in order of storage, or None where a sequence is not contiguous."""
        rows, length = self.shape
        if self.ends is not None:
            return None
        if self.segments is None and self.keep is None:
            return tuple((row, 0, length) for row in range(rows))
        ids = self.segments if self.segments is not None else self.keep.long() - 1  # type: ignore[union-attr]
        if self.segments is not None and self.keep is not None:
            ids = ids.masked_fill(~self.keep, -1)
        found: list[tuple[int, int, int]] = []
        for row, line in enumerate(ids.tolist()):
            seen: set[int] = set()
            start = 0
            while start < length:
                end = start
                while end < length and line[end] == line[start]:
                    end += 1
                if line[start] >= 0:
                    if line[start] in seen:
                        return None
                    seen.add(line[start])
                    found.append((row, start, end - start))
                start = end
        return tuple(found)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence, counted from its first kept token to its last."""
        kept = self.positions if self.keep is None else torch.where(self.keep, self.positions, 0)
        return int(kept.max()) + 1 if kept.numel() else 0

    @property
    def sequences(self) -> tuple[tuple[int, int, int], ...]:
        """`spans`, or an error where a sequence has holes."""
        if self.spans is None:
            if self.ends is not None:
                raise UsageError("a tree of texts is read as it is stored: pass its texts one by one where sequences are wanted")
            raise UsageError("a sequence of this batch has holes in its attention mask: pad on one side only")
        return self.spans

    @cached_property
    def flat(self) -> tuple[Tensor, Tensor]:
        """(first, last) storage index of each sequence, [N] each, into the flattened [B * S] tokens."""
        width = self.shape[1]
        firsts = [row * width + start for row, start, _ in self.sequences]
        lasts = [row * width + start + n - 1 for row, start, n in self.sequences]
        device = self.tokens.device
        return torch.tensor(firsts, device=device), torch.tensor(lasts, device=device)

    @cached_property
    def lengths(self) -> Tensor:
        """How many tokens each sequence has, [N]: by row, or by segment where the batch is packed."""
        if self.segments is not None:
            if self.shape[0] > 1:
                raise UsageError("texts packed into several rows have no number of their own: pack them into one row")
            return torch.bincount(self.segments[self.segments >= 0])
        rows, width = self.shape
        if self.keep is None:
            return torch.full((rows,), width, device=self.tokens.device)
        return self.keep.sum(-1)

    @cached_property
    def token_lengths(self) -> Tensor:
        """How many tokens the sequence of each token has, [B, 1] or, where packed, [1, T]."""
        if self.segments is not None and self.shape[0] == 1:
            return self.lengths[self.segments.clamp_min(0)]
        return self.lengths[:, None]

    def bind(self, rule: Mask) -> Mask:
        """The rule for this batch's storage: with its padding (`Keep`), its packing (`Segments`), and `Placed` if needed."""
        return bind(rule, self, self)

    def pack(self) -> Batch:
        """The same sequences in one row [1, T] without padding, in the order of `spans`."""
        index = torch.cat(
            [torch.arange(row * self.shape[1] + start, row * self.shape[1] + start + n) for row, start, n in self.sequences]
        ).to(self.tokens.device)
        lengths = [n for _, _, n in self.sequences]
        segments = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None].to(self.tokens.device)
        places = torch.cat([torch.arange(n) for n in lengths])[None].to(self.tokens.device)

        def chosen(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.flatten()[index][None]

        batch = Batch(
            self.tokens.flatten()[index][None], places, None, chosen(self.types), segments, chosen(self.marks),
            chosen(self.words), chosen(self.documents),
        )  # fmt: skip
        batch.__dict__["spans"] = _spans_of_lengths(lengths)
        return batch

    def unpack(self, x: Tensor, fill: float = 0.0) -> Tensor:
        """[B, S, ...] values of this batch's tokens as [N, longest, ...], one row a sequence, padded on the right."""
        longest = max((n for _, _, n in self.sequences), default=0)
        out = x.new_full((len(self.sequences), longest, *x.shape[2:]), fill)
        for i, (row, start, n) in enumerate(self.sequences):
            out[i, :n] = x[row, start : start + n]
        return out


@dataclass(frozen=True, eq=False)
class Traced(Batch):
    """Rows that are padded on the right, told by shapes and tensors alone: what an exporter follows, which cannot look at values.

    `keep` [B, S] is always there. A place is its storage index.
    """

    @staticmethod
    def of(tokens: Tensor, keep: Tensor, types: Tensor | None = None) -> Traced:
        """`tokens` [B, S], `keep` [B, S] of ones and zeros."""
        return Traced(tokens, torch.arange(tokens.shape[1], device=tokens.device)[None], keep.bool(), types)

    @property
    def kept(self) -> Tensor:
        """`keep`, which is always there."""
        assert self.keep is not None
        return self.keep

    @property
    def longest(self) -> int:
        return self.tokens.shape[1]

    @property
    def flat(self) -> tuple[Tensor, Tensor]:
        rows, width = self.shape
        firsts = torch.arange(rows, device=self.tokens.device) * width
        return firsts, firsts + self.lengths - 1


@dataclass(frozen=True, eq=False)
class Places:
    """Where the queries and the keys of one attention stand: places [B or 1, Q] and [B or 1, K], and their types, if any.

    `lengths` [B or 1, Q or 1]: how many tokens each query's sequence has, where a scheme asks for it.
    """

    queries: Tensor
    keys: Tensor
    query_types: Tensor | None = None
    key_types: Tensor | None = None
    lengths: Tensor | None = None


def _spans_of_lengths(lengths: Sequence[int]) -> tuple[tuple[int, int, int], ...]:
    spans, start = [], 0
    for n in lengths:
        spans.append((0, start, n))
        start += n
    return tuple(spans)


def bind(rule: Mask, queries: Batch, keys: Batch) -> Mask:
    """`rule` between two batches (the same one for self-attention) in storage indices.

    Places are the batches' positions; a part of the rule that speaks of them is wrapped in `Placed` where they are not the
    storage indices. Padding adds `Keep`, packing adds `Segments`, a tree `Branches`.
    """
    parts = [_placed(with_marks(rule, queries.marks, keys.marks), queries, keys)]
    if keys.keep is not None:
        parts.append(Keep(keys.keep))
    if keys.ends is not None:
        parts.append(Branches(keys.ends))
    if queries.segments is not None or keys.segments is not None:
        if queries.segments is None or keys.segments is None:
            raise UsageError("one side of the attention is packed and the other is not: pack both, or neither")
        parts.append(Segments(queries.segments, keys.segments))
    return conjunction(parts)


def _placed(rule: Mask, queries: Batch, keys: Batch) -> Mask:
    if isinstance(rule, And):
        return conjunction([_placed(part, queries, keys) for part in rule.parts])
    if isinstance(rule, Or):
        return reduce(lambda x, y: x | y, (_placed(part, queries, keys) for part in rule.parts))
    if rule == Full() or rule.speaks_of == "storage":
        return rule
    if rule.needs_lengths:
        rule = rule.sized(keys.lengths)
    own_keys = queries is keys  # so that order in storage is order in the sequence
    if own_keys and (rule.speaks_of == "order" or (rule.speaks_of == "distance" and keys.ends is None and not _has_holes(keys))):
        return rule
    if _as_stored(queries) and _as_stored(keys):
        return rule
    rows, width = queries.shape
    own = torch.arange(rows, device=queries.tokens.device)[:, None].expand(rows, width)
    if queries.segments is not None and rows == 1:
        own = queries.segments.clamp_min(0)
    return Placed(rule, own, queries.positions.expand(rows, -1), keys.positions.expand(rows, -1))


def _as_stored(batch: Batch) -> bool:
    """Whether each token's place is its storage index."""
    places = torch.arange(batch.shape[1], device=batch.tokens.device)
    return isinstance(batch, Traced) or (not batch.is_packed and bool((batch.positions == places).all()))


def _has_holes(batch: Batch) -> bool:
    """Whether padding stands between the tokens of a sequence."""
    if batch.keep is None or isinstance(batch, Traced):
        return False
    begins = batch.keep[:, 1:] & ~batch.keep[:, :-1]
    return bool((begins.sum(1) + batch.keep[:, 0].long() > 1).any())
