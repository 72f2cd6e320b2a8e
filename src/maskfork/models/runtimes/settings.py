"""runtime.json: which runtime a model's folder is opened with, and the files that it reads, by their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from maskfork.errors import ModelError
from maskfork.models.digest import file_digest

FILE = "runtime.json"
VERSION = 1
RuntimeName = Literal["torch", "onnxruntime", "openvino", "native"]
Precision = Literal["fp32", "bf16", "int8", "int8+bf16"]  # the last: int8 multiplies, bf16 between them


class Described(Protocol):
    """What a file of settings says beside its settings."""

    @property
    def files(self) -> Mapping[str, str]: ...
    @property
    def version(self) -> int: ...


D = TypeVar("D", bound=Described)


class RuntimeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an encoder is run.

    `gives`: one array a text, or one a token; `width`: its numbers. `files`: names in the folder and their SHA-256. `threads`:
    of all streams together, None for the cores that may be used; `streams`: batches that are computed beside each other.
    `batch_tokens`: the most tokens of a batch, filling included. `how` says in words how the numbers were made; `measured` is
    what was measured, and where.
    """

    runtime: RuntimeName
    precision: Precision
    gives: Literal["text", "token"]
    width: int
    files: dict[str, str]
    threads: int | None = None
    streams: int = 1
    batch_tokens: int = 2048
    how: str = ""
    measured: dict[str, Any] = {}
    version: int = VERSION

    def __post_init__(self) -> None:
        if min(self.threads or 1, self.streams, self.batch_tokens, self.width) < 1:
            raise ValueError("threads, streams, batch_tokens and width are at least 1")


def read_settings(folder: Path) -> RuntimeSettings | None:
    """None where the folder has no runtime.json.

    Raises ModelError where it is torn or of a newer maskfork, and where a file that it names is missing or not the one it was
    written for.
    """
    return read_described(folder / FILE, RuntimeSettings, VERSION, "export the model again")


def read_described(file: Path, kind: type[D], version: int, cure: str) -> D | None:
    """None where there is no such file. Raises ModelError as `read_settings` does; `cure`: what a torn one wants."""
    if not file.is_file():
        return None
    try:
        found = msgspec.json.decode(file.read_bytes(), type=kind)
    except (msgspec.DecodeError, ValueError) as error:
        raise ModelError(f"{file} cannot be used ({error}): {cure}") from error
    if found.version > version:
        raise ModelError(f"{file} was written by a newer maskfork (version {found.version}): update maskfork")
    check_files(file.parent, file.name, found.files)
    return found


def check_files(folder: Path, said_by: str, files: Mapping[str, str]) -> None:
    """Raises ModelError where a file that `said_by` names is missing, or is not the one it was written for."""
    for name, digest in files.items():
        path = folder / name
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ModelError(f"{folder / said_by} names {name}, which lies outside: the folder is not to be trusted")
        if not path.is_file():
            raise ModelError(f"{folder} lacks {name}, which its runtime reads: export the model again")
        if file_digest(path) != digest:
            raise ModelError(f"{path} is not the file that {said_by} was written for: export the model again")


def write_settings(folder: Path, settings: RuntimeSettings) -> None:
    """runtime.json, beside the files that it names; `digests` makes these."""
    write_described(folder / FILE, settings)


def write_described(file: Path, settings: msgspec.Struct) -> None:
    """For people to read as well."""
    file.write_bytes(msgspec.json.format(msgspec.json.encode(settings), indent=1) + b"\n")


def digests(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """SHA-256 of files by their names in the folder."""
    return {name: file_digest(folder / name) for name in names}
