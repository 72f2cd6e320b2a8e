"""What tokens are as bytes: a form speaks of bytes, a model of tokens.

    tokens    {"   name   ":   Ġ"   ...        their bytes side by side are the text
    bytes     { " n a m e " : ␠ " ...          the same form over single bytes is where a way out is searched

Legend: V tokens of the vocabulary.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property

from llguidance import LLTokenizer, TokenizerWrapper

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers import Tokenizer
from maskfork.models.tokenizers.letters import LETTER_BYTES
from maskfork.models.tokenizers.pieces import scheme_of

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
LONGEST = 24  # bytes of a token that a way out may use
END = 256  # the end, in the vocabulary of bytes


class Alphabet:
    """A tokenizer's vocabulary as bytes, `size` tokens long (a model may have rows to spare). Raises TokenizerError."""

    def __init__(self, tokenizer: Tokenizer, size: int, ends: Sequence[int]) -> None:
        self.size, self.ends = size, tuple(ends)
        scheme = scheme_of(tokenizer)
        if scheme in ("wordpiece", "ends"):
            raise TokenizerError(
                "the spaces between this tokenizer's words are in no token, so its text cannot be held to a form: "
                "use a model with a byte-level or SentencePiece tokenizer"
            )
        special = {i for i, added in tokenizer.inner.get_added_tokens_decoder().items() if added.special} | set(ends)
        special |= {
            t for name in ("bos", "eos", "unk", "pad", "cls", "sep", "mask") if (t := tokenizer.special(name)) is not None
        }
        known = {i: text for text, i in tokenizer.inner.get_vocab(with_added_tokens=True).items()}
        added = tokenizer.inner.get_added_tokens_decoder()
        self.bytes: list[bytes] = []  # [V], empty for what is no text
        for i in range(size):
            text = known.get(i)
            said = text is not None and i not in special
            self.bytes.append((text.encode() if i in added else _bytes_of(text, scheme)) if said and text is not None else b"")

    @cached_property
    def of_tokens(self) -> LLTokenizer:
        """The vocabulary for llguidance, with one more token behind it for an end where the model has none."""
        tokens = [b if b else b"\xff<%d>" % i for i, b in enumerate(self.bytes)]
        special = [i for i, b in enumerate(self.bytes) if not b]
        words = _Words([*tokens, b"\xff<end>"], [*special, self.size], self.size, self.fewest)
        return LLTokenizer(TokenizerWrapper(words), eos_token=list(self.ends) or [self.size])

    @cached_property
    def usable(self) -> frozenset[int]:
        """The bytes that stand in some token."""
        return frozenset(byte for token in self.bytes for byte in token)

    @cached_property
    def spaced(self) -> list[tuple[int, bytes]]:
        """The tokens that begin with a space, and what comes after it."""
        return [(i, b[1:]) for i, b in enumerate(self.bytes) if b.startswith(b" ") and len(b) > 1]

    def fewest(self, text: bytes) -> list[int] | None:
        """The fewest tokens that spell this text, or None where none do."""
        best: list[tuple[int, int, int] | None] = [(0, -1, -1)] + [None] * len(text)  # (tokens, start of the last, its id)
        for end in range(1, len(text) + 1):
            for start in range(max(0, end - LONGEST), end):
                before, token = best[start], self._ids.get(text[start:end])
                if before is not None and token is not None and ((found := best[end]) is None or before[0] + 1 < found[0]):
                    best[end] = (before[0] + 1, start, token)
        ids, at = [], len(text)
        while at > 0:
            last = best[at]
            if last is None:
                return None
            ids.append(last[2])
            at = last[1]
        return ids[::-1]

    @cached_property
    def _ids(self) -> dict[bytes, int]:
        return {b: i for i, b in reversed(list(enumerate(self.bytes))) if b and len(b) <= LONGEST}


def byte_tokenizer() -> LLTokenizer:
    """A vocabulary of the 256 bytes and an end."""
    words = _Words([*(bytes([b]) for b in range(256)), b"\xff<end>"], [END], END, list)
    return LLTokenizer(TokenizerWrapper(words), slices=[])


def _bytes_of(text: str, scheme: str) -> bytes:
    if scheme == "bytes":
        if all(char in LETTER_BYTES for char in text):
            return bytes(LETTER_BYTES[char] for char in text)
        return text.encode()
    if scheme == "metaspace":
        byte = _BYTE.fullmatch(text)
        return bytes([int(byte[1], 16)]) if byte else text.replace("▁", " ").encode()
    return text.encode()


class _Words:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None

    def __init__(self, tokens: list[bytes], special: list[int], end: int, spell: Callable[[bytes], list[int] | None]) -> None:
        self.tokens, self.special_token_ids, self.eos_token_id = tokens, special, end
        self._spell = spell

    def __call__(self, text: bytes) -> list[int]:
        """What is certain to come is asked for as tokens; where there are none, none come of it."""
        return self._spell(text) or []
