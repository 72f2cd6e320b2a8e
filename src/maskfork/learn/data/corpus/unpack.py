"""Compressed files as streams of bytes, known by their first bytes and not by their names."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any

from maskfork.errors import DataError

SUFFIXES = (".gz", ".bz2", ".xz", ".zst")
_ZSTD = b"\x28\xb5\x2f\xfd"
_MAGIC = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", _ZSTD: "zstd"}


def packed_as(path: Path) -> str | None:
    """gzip, bzip2, xz, zstd, or None for a plain file."""
    with path.open("rb") as file:
        head = file.read(8)
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


class _Counted(io.FileIO):
    """A file that says how far it has been read."""

    def __init__(self, path: Path, at: Callable[[int], object]) -> None:
        super().__init__(path, "rb")
        self._at = at

    def readinto(self, buffer: Any, /) -> int | None:
        count = super().readinto(buffer)
        self._at(self.tell())
        return count


@contextmanager
def opened(path: Path, at: Callable[[int], object] = lambda _: None) -> Iterator[IO[bytes]]:
    """The file's contents, unpacked while they are read; `at` hears how many bytes of the file itself are read.

    Raises DataError where it is damaged or cannot be unpacked here.
    """
    kind = packed_as(path)
    try:
        with io.BufferedReader(_Counted(path, at), 1 << 17) as raw, _unpacked(raw, kind, path) as file:
            yield file
    except (EOFError, lzma.LZMAError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path.name} is a damaged {kind} file ({error}); compress it again.") from error
    except OSError as error:
        if kind is None:
            raise
        raise DataError(f"{path.name} is a damaged {kind} file ({error}); compress it again.") from error


def _unpacked(raw: IO[bytes], kind: str | None, path: Path) -> Any:
    if kind == "gzip":
        return gzip.open(raw, "rb")
    if kind == "bzip2":
        return bz2.open(raw, "rb")
    if kind == "xz":
        return lzma.open(raw, "rb")
    if kind == "zstd":
        return _zstd(raw, path)
    return raw


def _zstd(raw: IO[bytes], path: Path) -> Any:
    """By Python's own module (from 3.14 on), else by the package zstandard."""
    for module in ("compression.zstd", "zstandard"):
        if find_spec(module.split(".")[0]) is not None:
            return import_module(module).open(raw, "rb")
    raise DataError(
        f"{path.name} is compressed with zstd, which this Python cannot unpack: install the package zstandard, or run unzstd"
    )
