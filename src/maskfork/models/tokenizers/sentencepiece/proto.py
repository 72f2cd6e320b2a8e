"""SentencePiece's `.model` files: the few fields of the protobuf that a tokenizer needs, read by hand.

The wire format is a row of (field number << 3 | wire type) and value; field numbers are those of sentencepiece_model.proto.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from maskfork.errors import TokenizerError


class PieceType(IntEnum):
    """What a piece is (ModelProto.SentencePiece.Type)."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


UNIGRAM, BPE, WORD, CHAR = 1, 2, 3, 4


@dataclass(frozen=True)
class Piece:
    text: str
    score: float
    type: PieceType


@dataclass(frozen=True)
class SpmModel:
    """A `.model` file. `model_type` is UNIGRAM, BPE, WORD or CHAR; `charsmap` is empty where text stays as it is."""

    pieces: tuple[Piece, ...]
    model_type: int = UNIGRAM
    byte_fallback: bool = False
    whitespace_as_suffix: bool = False
    normalizer: str = ""
    charsmap: bytes = b""
    add_dummy_prefix: bool = True
    remove_extra_whitespaces: bool = True
    escape_whitespaces: bool = True


def read_model(data: bytes) -> SpmModel:
    """Parse a `.model` file's bytes. Raises TokenizerError where they are none."""
    try:
        return _model(data)
    except (IndexError, struct.error, ValueError) as error:
        raise TokenizerError(f"this is no SentencePiece model ({error}): download it again") from error


def read_normalizer(data: bytes) -> bytes:
    """The charsmap of a model that holds normalisation rules and may hold no pieces."""
    rules = next((value for number, value in _fields(data) if number == 3 and isinstance(value, bytes)), b"")
    charsmap = dict(_fields(rules)).get(2, b"")
    return charsmap if isinstance(charsmap, bytes) else b""


def _model(data: bytes) -> SpmModel:
    pieces: list[Piece] = []
    trainer: dict[int, int] = {}
    rules: dict[int, int | bytes] = {}
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            pieces.append(_piece(value))
        elif number == 2 and isinstance(value, bytes):
            trainer = {n: v for n, v in _fields(value) if isinstance(v, int)}
        elif number == 3 and isinstance(value, bytes):
            rules = dict(_fields(value))
    if not pieces:
        raise ValueError("it holds no pieces")
    name, charsmap = rules.get(1, b""), rules.get(2, b"")
    return SpmModel(
        pieces=tuple(pieces),
        model_type=trainer.get(3, UNIGRAM),
        byte_fallback=bool(trainer.get(35, 0)),
        whitespace_as_suffix=bool(trainer.get(24, 0)),
        normalizer=name.decode("utf-8") if isinstance(name, bytes) else "",
        charsmap=charsmap if isinstance(charsmap, bytes) else b"",
        add_dummy_prefix=bool(rules.get(3, 1)),
        remove_extra_whitespaces=bool(rules.get(4, 1)),
        escape_whitespaces=bool(rules.get(5, 1)),
    )


def _piece(data: bytes) -> Piece:
    text, score, kind = "", 0.0, 1
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode("utf-8")
        elif number == 2 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif number == 3 and isinstance(value, int):
            kind = value
    return Piece(text, score, PieceType(kind))


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(field number, value): numbers of wire type 0 as they are, all others as their bytes."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            size, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
        else:
            raise ValueError(f"byte {at} is no field of a protobuf")
        if at + size > end or number == 0:
            raise ValueError(f"byte {at} promises {size} bytes that are not there")
        yield number, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError(f"byte {at} is no number of a protobuf")
