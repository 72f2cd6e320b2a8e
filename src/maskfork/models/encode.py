"""Texts to token ids for a model, with what its limit cuts counted and said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from maskfork.errors import DataError, TokenizerError
from maskfork.models.model import Model
from maskfork.models.tokenizers import Tokenizer
from maskfork.models.windows import both_ends, windows

OnLong = Literal["error", "truncate", "head+tail", "chunk"]
"""What becomes of a text over the limit: refused; cut at its end; its middle cut; read in windows."""


@dataclass(frozen=True)
class Encoding:
    """Ids and types of each text as the model takes them, and how many tokens the limit cost."""

    ids: list[list[int]]
    types: list[list[int]] | None
    lost: list[int]
    middle: bool = False  # whether it is the middle that was cut

    @property
    def lengths(self) -> list[int]:
        return [len(i) for i in self.ids]

    def take(self, rows: Iterable[int]) -> tuple[list[list[int]], list[list[int]] | None]:
        """(ids, types) of these texts, in this order."""
        chosen = list(rows)
        return [self.ids[i] for i in chosen], None if self.types is None else [self.types[i] for i in chosen]

    def lost_note(self, limit: int) -> str | None:
        """One sentence on what was cut, or None."""
        cut = sum(1 for n in self.lost if n)
        if not cut:
            return None
        share = sum(self.lost) / max(1, sum(self.lost) + sum(self.lengths))
        where = "cut out of their middle" if self.middle else "cut from their ends"
        return (
            f"{cut} of {len(self.ids)} texts are longer than {limit} tokens: {sum(self.lost)} tokens ({share:.1%}) were {where}"
        )


@dataclass(frozen=True)
class Windows:
    """N texts as M windows of at most `limit` tokens: `encoding` is of the windows, and text n has those from `starts[n]` to
    before `starts[n + 1]`; one each where nothing is read in several.
    """

    encoding: Encoding
    starts: list[int]
    limit: int | None = None

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> list[int]:
        """Tokens of each text, those that two windows share counted twice, [N]."""
        return self._sums(self.encoding.lengths)

    @property
    def lost(self) -> list[int]:
        """Tokens of each text that are not read, [N]."""
        return self._sums(self.encoding.lost)

    @property
    def note(self) -> str | None:
        """One sentence on what was cut, or on how many texts are read in several windows; None where all fit."""
        several = sum(1 for a, b in zip(self.starts, self.starts[1:], strict=False) if b - a > 1)
        if not several:
            return self.encoding.lost_note(self.limit or 0)
        return f"{several} of {len(self)} texts are longer than {self.limit} tokens and are read in windows; no token is lost"

    @staticmethod
    def joined(parts: Sequence[Windows]) -> Windows:
        """The texts of all parts, which were read by one model to one limit."""
        first = parts[0].encoding
        types = None if first.types is None else [own for part in parts for own in part.encoding.types or ()]
        lost = [count for part in parts for count in part.encoding.lost]
        one = Encoding([ids for part in parts for ids in part.encoding.ids], types, lost, any(p.encoding.middle for p in parts))
        starts = [0]
        for part in parts:
            begin = starts[-1]
            starts += [begin + start for start in part.starts[1:]]
        return Windows(one, starts, parts[0].limit)

    def each(self) -> list[Windows]:
        """Every text alone; `joined` puts any of them together again, in any order."""
        found, one = [], self.encoding
        for a, b in zip(self.starts, self.starts[1:], strict=False):
            types = None if one.types is None else one.types[a:b]
            found.append(Windows(Encoding(one.ids[a:b], types, one.lost[a:b], one.middle), [0, b - a], self.limit))
        return found

    def _sums(self, own: list[int]) -> list[int]:
        return [sum(own[a:b]) for a, b in zip(self.starts, self.starts[1:], strict=False)]


def encode(
    model: Model, texts: Sequence[str], pairs: Sequence[str] | None = None, limit: int | None = None,
    on_long: OnLong = "truncate", held: int = 0,
) -> Encoding:  # fmt: skip
    """Encode for this model; `limit` in tokens, special ones included, is also bounded by the model's positions.

    The first `held` tokens (a prompt's) stay whatever is cut. Raises TokenizerError where the limit leaves no room beside the
    special tokens, DataError for a text over the limit where `on_long` is "error". "chunk" is `encode_windows`'s.
    """
    longest = limit_of(model, limit)
    encoded = model.tokenizer.encode_many(texts, pairs, limit=None if on_long == "head+tail" else longest)
    found = _encoding(model, [(e.ids, e.types) for e in encoded], [e.lost for e in encoded])
    if longest is None or on_long == "truncate":
        return found
    if on_long == "error":
        _refuse_long(found, longest)
        return found
    for i in (i for i, n in enumerate(found.lengths) if n > longest):
        whole, sides = model.tokenizer.encode_sided(texts[i], None if pairs is None else pairs[i])
        kept = both_ends(_held(sides, held), longest)
        found.lost[i] = len(whole.ids) - len(kept)
        found.ids[i] = [whole.ids[k] for k in kept]
        if found.types is not None:
            found.types[i] = [whole.types[k] for k in kept]
    return Encoding(found.ids, found.types, found.lost, middle=True)


def encode_windows(
    model: Model, texts: Sequence[str], pairs: Sequence[str] | None = None, limit: int | None = None,
    overlap: int | None = None, held: int = 0,
) -> Windows:  # fmt: skip
    """Encode without losing a token: a text over the limit becomes several windows (see `windows`).

    `overlap` is how many tokens neighbours share; an eighth of the limit where it is None. The first `held` tokens stand in
    every window. Raises TokenizerError.
    """
    longest = limit_of(model, limit)
    encoded = model.tokenizer.encode_many(texts, pairs)
    parts: list[tuple[list[int], list[int]]] = []
    starts = [0]
    for i, whole in enumerate(encoded):
        if longest is None or len(whole.ids) <= longest:
            parts.append((whole.ids, whole.types))
        else:
            _, sides = model.tokenizer.encode_sided(texts[i], None if pairs is None else pairs[i])
            for kept in windows(_held(sides, held), longest, longest // 8 if overlap is None else overlap):
                parts.append(([whole.ids[k] for k in kept], [whole.types[k] for k in kept]))
        starts.append(len(parts))
    return Windows(_encoding(model, parts, [0] * len(parts)), starts, longest)


def encode_ends(model: Model, texts: Sequence[str], pairs: Sequence[str] | None = None, limit: int | None = None) -> Encoding:
    """Encode for this model; of a text over the limit the last tokens are kept. Raises TokenizerError."""
    encoded = model.tokenizer.encode_many(texts, pairs, limit=limit_of(model, limit), last=True)
    return _encoding(model, [(e.ids, e.types) for e in encoded], [e.lost for e in encoded])


def read_texts(
    model: Model, texts: Sequence[str], pairs: Sequence[str] | None = None, limit: int | None = None,
    on_long: OnLong = "truncate", overlap: int | None = None, held: int = 0,
) -> Windows:  # fmt: skip
    """Texts in windows ("chunk"), or one sequence each as `encode` makes it. Raises TokenizerError, DataError."""
    if on_long == "chunk":
        return encode_windows(model, texts, pairs, limit, overlap, held)
    return Windows(encode(model, texts, pairs, limit, on_long, held), list(range(len(texts) + 1)), limit_of(model, limit))


def _held(sides: Sequence[int | None], count: int) -> list[int | None]:
    """The first tokens as special ones, which are in all that is kept."""
    return [*([None] * min(count, len(sides))), *sides[count:]]


def _encoding(model: Model, parts: Sequence[tuple[list[int], list[int]]], lost: list[int]) -> Encoding:
    ids = [own or stand_in(model.tokenizer) for own, _ in parts]
    return Encoding(ids, [types or [0] for _, types in parts] if wants_types(model) else None, lost)


def _refuse_long(found: Encoding, limit: int) -> None:
    long = [i for i, n in enumerate(found.lost) if n]
    if long:
        worst = max(long, key=lambda i: found.lost[i])
        raise DataError(
            f"{len(long)} of {len(found.ids)} texts are longer than {limit} tokens (text {worst + 1} has "
            f"{found.lost[worst] + found.lengths[worst]}): shorten them, or choose --on-long truncate, head+tail or chunk"
        )


def limit_of(model: Model, limit: int | None) -> int | None:
    """The most tokens of one text: the smaller of what is asked and what the model has positions for."""
    limits = [n for n in (limit, model.longest) if n is not None]
    return min(limits) if limits else None


def wants_types(model: Model) -> bool:
    """Whether the model tells a pair's two texts apart by type."""
    stack = model.spec.encoder or model.spec.decoder
    return stack is not None and stack.embed.types > 1


def stand_in(tokenizer: Tokenizer) -> list[int]:
    """A text without any token (a decoder adds none of its own) is its end-of-text token."""
    for name in ("eos", "bos", "pad", "unk"):
        index = tokenizer.special(name)
        if index is not None:
            return [index]
    raise TokenizerError("a text has no tokens and the tokenizer names no end-of-text token: drop empty texts")
