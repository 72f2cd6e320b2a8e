"""llama2.c's tokenizer.bin: the longest token's length, then a score, a length and the bytes of each token."""

from __future__ import annotations

import re
import struct

from maskfork.errors import TokenizerError
from maskfork.models.tokenizers.sentencepiece.proto import BPE, Piece, PieceType, SpmModel

FIRST = 3 + 256  # the first piece that is a word
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_HEAD = ("<unk>", "<s>", "</s>")


def looks_like_llama2c(data: bytes) -> bool:
    """Whether the first tokens have the lengths and the names that the format has."""
    try:
        pieces = _pieces(data[:64], most=3)
    except (struct.error, UnicodeDecodeError, ValueError):
        return False
    return [text.strip() for text, _ in pieces] == list(_HEAD)


def read_llama2c(data: bytes) -> SpmModel:
    """The SentencePiece BPE with byte fallback that the file was made of. Raises TokenizerError."""
    try:
        pieces = _pieces(data)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise TokenizerError(f"this is no complete tokenizer.bin of llama2.c ({error}): export it again") from error
    if len(pieces) >= FIRST and all(pieces[3 + b][0] == chr(b) for b in range(256)):  # bytes may be spelled as their letters
        pieces[3:FIRST] = [(f"<0x{b:02X}>", pieces[3 + b][1]) for b in range(256)]
    return SpmModel(
        tuple(Piece(*_named(i, text, score)) for i, (text, score) in enumerate(pieces)),
        BPE,
        byte_fallback=True,
        normalizer="identity",
        remove_extra_whitespaces=False,
    )


def _named(index: int, text: str, score: float) -> tuple[str, float, PieceType]:
    if index < len(_HEAD):
        return _HEAD[index], score, PieceType.CONTROL if index else PieceType.UNKNOWN
    if _BYTE.fullmatch(text):
        return text, score, PieceType.BYTE
    return text.replace(" ", "▁"), score, PieceType.NORMAL


def _pieces(data: bytes, most: int | None = None) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    at = 4
    while at < len(data) and (most is None or len(found) < most):
        score, size = struct.unpack_from("<fi", data, at)
        at += 8
        if not 0 <= size <= len(data) - at:
            raise ValueError(f"token {len(found)} ends after the file")
        found.append((data[at : at + size].decode("utf-8"), score))
        at += size
    return found
