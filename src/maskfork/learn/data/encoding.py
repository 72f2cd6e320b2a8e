"""Bytes to text: byte-order marks, UTF-8, and the old single-byte encodings, which are always said aloud."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path
from unicodedata import category

from maskfork.errors import DataError

#: byte order marks and what they mean
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LEAST = 50  # UTF-16 has a comma, a blank, a digit or a line end among so many characters, in any script
_NO_TEXT = ("Cc", "Cn", "Co")  # control characters, and what is no character or everybody's own
_MULTIBYTE = re.compile(rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}")


@dataclass(frozen=True)
class Decoded:
    text: str
    encoding: str
    notes: tuple[str, ...] = ()


def decode(data: bytes, path: Path) -> Decoded:
    """Text of a file and how it was read.

    Without a byte-order mark: UTF-16 where NUL bytes stand in every second place alone, as they do in its commas, blanks and line
    ends, and all of it is text; UTF-8; else windows-1252 where bytes 0x80..0x9F stand (latin-1 has only control
    characters there), else latin-1. Raises DataError for binary files and for UTF-8 that is broken in places, because
    reading that as latin-1 would spoil every accented word.
    """
    for mark, name in MARKS:
        if data.startswith(mark):
            return _marked(data, name, path)
    if b"\0" in data:
        unmarked = _unmarked(data, path)
        if unmarked is not None:
            return unmarked
        line = data.count(b"\n", 0, data.index(b"\0")) + 1
        raise DataError(
            f"{path.name} is a binary file (NUL byte in line {line}); give csv, tsv, json lines or parquet, and text as UTF-8."
        )
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError as error:
        return _single_byte(data, error.start, path)


def _marked(data: bytes, name: str, path: Path) -> Decoded:
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name} begins as {name} but byte {error.start:,} is not {name}; save it as UTF-8 again."
        ) from error
    if "\0" in text:
        raise DataError(f"{path.name} is a binary file (it holds NUL characters); save it as UTF-8 text.")
    if name == "utf-8-sig":
        return Decoded(text, "utf-8-sig")
    return Decoded(text, name, (f"{path.name} is {name.upper()} by its byte-order mark.",))


def _unmarked(data: bytes, path: Path) -> Decoded | None:
    """UTF-16 that does not say so; None for anything else."""
    first, second = data[::2].count(0), data[1::2].count(0)
    if len(data) % 2 or (first and second) or (first + second) * _LEAST < len(data) // 2:
        return None
    name = "utf-16-be" if first else "utf-16-le"
    try:
        text = data.decode(name)
    except UnicodeDecodeError:
        return None
    signs = set(text)
    if not signs & {"\n", "\r"} or any(category(sign) in _NO_TEXT for sign in signs - set("\t\n\r")):
        return None
    return Decoded(text, name, (f"{path.name} is read as {name.upper()}: every second byte tells, it has no byte-order mark.",))


def _single_byte(data: bytes, first: int, path: Path) -> Decoded:
    line = data.count(b"\n", 0, first) + 1
    high = len(data) - len(data.translate(None, bytes(range(128, 256))))
    in_utf8 = [len(match) for match in _MULTIBYTE.findall(data)]
    if len(in_utf8) > high - sum(in_utf8):
        raise DataError(
            f"{path.name} is UTF-8 but line {line} holds the byte 0x{data[first]:02X}, which is not; "
            "repair that line, or save the whole file as UTF-8 again."
        )
    name = "latin-1"
    if len(data) != len(data.translate(None, bytes(range(0x80, 0xA0)))):
        name = "cp1252"
    try:
        text = data.decode(name)
    except UnicodeDecodeError:  # five bytes have no meaning in cp1252; latin-1 gives every byte one
        name, text = "latin-1", data.decode("latin-1")
    said = f"{path.name} is not UTF-8 (byte 0x{data[first]:02X} in line {line}): read as {name}."
    return Decoded(text, name, (said,))
