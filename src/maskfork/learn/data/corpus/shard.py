"""A shard: some millions of tokens in one safetensors file, read through memory maps.

    ids       [tokens] uint16, or uint32 where the vocabulary is larger than 65,536
    offsets   [documents + 1] uint64: where each document begins
    hashes    [documents] uint64: of each document's text, for holding out
    begins    [tokens / 8] uint8: a bit a token, whether it begins a word (least significant bit first)

The header holds the digest of all four, so that a torn file is found.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from maskfork.errors import DataError
from maskfork.models.formats.readable import save_tensors

Array = npt.NDArray[Any]
_TYPES = {"U8": np.uint8, "U16": np.uint16, "U32": np.uint32, "U64": np.uint64}
_PARTS = ("begins", "hashes", "ids", "offsets")


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


@dataclass(frozen=True, eq=False)
class Shard:
    """One file. `said` is what its header says: digest, documents, tokens, bytes of text ..."""

    path: Path
    said: dict[str, Any]
    places: dict[str, tuple[str, tuple[int, ...], int]]  # type, shape, first byte

    @property
    def tokens(self) -> int:
        return self.places["ids"][1][0]

    @property
    def documents(self) -> int:
        return self.places["hashes"][1][0]

    @cached_property
    def ids(self) -> Array:
        return self._map("ids")

    @cached_property
    def offsets(self) -> Array:
        return self._map("offsets")

    @cached_property
    def hashes(self) -> Array:
        return self._map("hashes")

    def begins(self, start: int, stop: int) -> npt.NDArray[np.bool_]:
        """Whether each token from `start` to `stop` begins a word."""
        first = start // 8
        bits = np.unpackbits(self._bits[first : -(-stop // 8)], bitorder="little")
        return bits[start - 8 * first : stop - 8 * first].astype(np.bool_)

    @cached_property
    def _bits(self) -> Array:
        return self._map("begins")

    def _map(self, name: str) -> Array:
        kind, shape, at = self.places[name]
        if not shape[0]:
            return np.zeros(0, dtype=_TYPES[kind])
        return np.memmap(self.path, dtype=_TYPES[kind], mode="r", offset=at, shape=shape)

    def verify(self) -> None:
        """Raises DataError where the contents are not those that were written."""
        found = digest_of({name: self._map(name) for name in _PARTS})
        if found != self.said.get("digest"):
            raise DataError(_torn(self.path, "its contents are not those that were written"))


def write_shard(path: Path, parts: Mapping[str, Array], said: Mapping[str, Any]) -> dict[str, Any]:
    """Write beside the place, flush to the disk, and rename: what stands at `path` is whole. Gives what the header says.

    Raises DataError where the disk is full or the folder cannot be written.
    """
    said = {**said, "digest": digest_of(parts), "documents": len(parts["hashes"]), "tokens": len(parts["ids"])}
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_tensors(parts, beside, {"maskfork": json.dumps(said, sort_keys=True)})
        replace_flushed(beside, path)
    except Exception as error:  # the library raises an error of its own for a full disk
        beside.unlink(missing_ok=True)
        raise DataError(f"{path} cannot be written ({error}): make room, or name another folder with -o") from error
    return said


def replace_flushed(beside: Path, path: Path) -> None:
    """`beside` takes the place of `path`, both on the disk before this returns."""
    with beside.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def open_shard(path: Path) -> Shard:
    """Its header read and its size checked; nothing else is read. Raises DataError where it is torn."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            size = os.fstat(file.fileno()).st_size
            if not 2 <= length <= size - 8:
                raise ValueError("its header is cut off")
            header = json.loads(file.read(length))
        said = json.loads(header["__metadata__"]["maskfork"])
        places, end = {}, 0
        for name in _PARTS:
            first, last = header[name]["data_offsets"]
            places[name] = (header[name]["dtype"], tuple(header[name]["shape"]), 8 + length + first)
            end = max(end, last)
            if (last - first) != np.dtype(_TYPES[header[name]["dtype"]]).itemsize * header[name]["shape"][0]:
                raise ValueError(f"its {name} do not fill their place")
        if 8 + length + end != size:
            raise ValueError(f"it has {size:,} bytes and should have {8 + length + end:,}")
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing: build the corpus again with the same command, which writes only what is not there"
        ) from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise DataError(_torn(path, str(error) or type(error).__name__)) from error
    return Shard(path, said, places)


def digest_of(parts: Mapping[str, Array]) -> str:
    """SHA-256 of the arrays with their names and lengths."""
    state = hashlib.sha256()
    for name in _PARTS:
        array = np.ascontiguousarray(parts[name])
        state.update(f"{name} {array.dtype.str} {len(array)}\n".encode())
        state.update(array.view(np.uint8).data)
    return state.hexdigest()


def _torn(path: Path, why: str) -> str:
    return (
        f"{path} is torn ({why}): remove it and build the corpus again with the same command, which writes only what is missing"
    )
