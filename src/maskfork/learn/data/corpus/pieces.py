"""Long documents in pieces that tokenise as the whole does.

A tokenizer needs some hundred bytes for every character that it holds, so that a book goes through it in pieces. A cut is
taken where the tokens of a stretch around it are those of its two halves; at a space the second half may lose that space, as
SentencePiece puts one before every text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from maskfork.learn.data.corpus.texts import Part
from maskfork.models.tokenizers import Tokenizer

PIECE = 1 << 16  # characters of a piece
FARTHEST = 1 << 20  # where no good cut is found within so many, a rough one is taken
LONGEST = 1 << 24  # characters of a document; what is longer becomes several
_AROUND = 256
_TRIES = 16


@dataclass(frozen=True)
class Piece:
    """`text` of a document; where it is the `last`, `digest` is the document's (64 bits). `rough`: its end is no good cut.

    `size`: bytes of its text in UTF-8, the space that a cut has eaten included.
    """

    text: str
    source: int
    last: bool
    size: int
    digest: int = 0
    rough: bool = False
    split: bool = False  # the document ended here because it was too long


class Pieces:
    """Parts of documents in, pieces out. `limit` is PIECE, smaller in tests."""

    def __init__(self, tokenizer: Tokenizer, limit: int = PIECE, longest: int = LONGEST) -> None:
        self.tokenizer, self.limit, self.longest = tokenizer, limit, longest

    def __call__(self, parts: Iterator[tuple[int, Part]]) -> Iterator[Piece]:
        held, length, state = "", 0, hashlib.blake2b(digest_size=8)
        for source, part in parts:
            held += part.text
            while len(held) > 2 * self.limit:
                room = self.longest - length
                if room <= len(held) and room <= 2 * self.limit:  # the document is too long: it ends here
                    cut = self._blank(held, room)
                    yield self._piece(held[:cut], held[:cut], source, state, last=True, split=True)
                    held, length, state = held[cut:], 0, hashlib.blake2b(digest_size=8)
                    continue
                found = self._cut(held)
                if found is None and len(held) < FARTHEST and not part.last:
                    break
                cut, skip = found or (min(self.limit, room), 0)
                yield self._piece(held[:cut], held[: cut + skip], source, state, last=False, rough=found is None)
                held, length = held[cut + skip :], length + cut + skip
            if part.last:
                yield self._piece(held, held, source, state, last=True)
                held, length, state = "", 0, hashlib.blake2b(digest_size=8)

    @staticmethod
    def _piece(
        text: str, eaten: str, source: int, state: hashlib.blake2b, *, last: bool, rough: bool = False, split: bool = False
    ) -> Piece:
        raw = eaten.encode("utf-8", "surrogatepass")
        state.update(raw)
        digest = int.from_bytes(state.digest(), "little") if last else 0
        return Piece(text, source, last, len(raw), digest, rough, split)

    @staticmethod
    def _blank(held: str, limit: int) -> int:
        """The last blank space before the limit."""
        found = max(held.rfind("\n", 1, limit), held.rfind(" ", 1, limit))
        return found if found > 0 else limit

    def _cut(self, held: str) -> tuple[int, int] | None:
        """(where to cut, characters to leave out there), the first that is good before the limit, then after it."""
        for mark in ("\n", " "):
            at = self.limit
            for _ in range(_TRIES):
                at = held.rfind(mark, self.limit // 2, at)
                if at <= 0:
                    break
                if held[at - 1].isspace():
                    continue
                for skip in (0, 1):
                    if self._good(held, at, skip):
                        return at, skip
        at = self.limit
        for _ in range(4 * _TRIES):
            at += 1
            while at < len(held) - _AROUND and not held[at].isspace():
                at += 1
            if at >= len(held) - _AROUND:
                return None
            for skip in (0, 1):
                if not held[at - 1].isspace() and self._good(held, at, skip):
                    return at, skip
        return None

    def _good(self, held: str, at: int, skip: int) -> bool:
        before, after = held[max(at - _AROUND, 0) : at], held[at : at + _AROUND]
        one, two, both = (self.tokenizer.encode(text, special=False) for text in (before, after[skip:], before + after))
        return one + two == both
