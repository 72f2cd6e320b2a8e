"""The tensors of a checkpoint folder by their names: safetensors or an old pickle, one file or shards with an index."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskfork.errors import ModelError

INDEX = ".index.json"
SAFE, PICKLE = "model.safetensors", "pytorch_model.bin"


class Tensors(Protocol):
    """Tensors by name, read when asked for."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def kind(self) -> str:
        """How they lie, in words."""
        ...

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold them, an index too."""
        ...

    def read(self, name: str) -> Tensor: ...


_POINTER = b"version https://git-lfs"
_FOREIGN = {  # ending -> what it is that is not read here
    ".onnx": "an export for ONNX Runtime",
    ".gguf": "an export for llama.cpp",
    "openvino_model.bin": "an export for OpenVINO",
    ".h5": "TensorFlow's weights",
    ".msgpack": "Flax's weights",
}


@dataclass
class FolderTensors:
    """`where` says which file has a tensor. With `mapped`, a pickle stays on the disk until its tensors are read."""

    folder: Path
    kind: str
    where: Mapping[str, Path]
    files: tuple[Path, ...]
    mapped: bool = False
    _open: dict[Path, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.where)

    def read(self, name: str) -> Tensor:
        """Raises ModelError where the file is broken or lacks what its index says."""
        file = self.where[name]
        if file not in self._open:
            self._open[file] = _opened(file, self.folder, self.mapped)
        source = self._open[file]
        try:
            tensor: Tensor = source[name] if isinstance(source, dict) else source.get_tensor(name)
        except (SafetensorError, KeyError) as error:
            raise _broken(self.folder, error) from error
        return tensor


def open_tensors(folder: Path, *, mapped: bool = False) -> FolderTensors:
    """What a folder holds: safetensors before pickles, one file before shards. Raises ModelError where it holds neither."""
    for base in (SAFE, PICKLE):
        words = "safetensors" if base == SAFE else "a pickle"
        single, index = folder / base, folder / (base + INDEX)
        if single.is_file():
            opened = _opened(single, folder, mapped)
            return FolderTensors(folder, words, dict.fromkeys(opened.keys(), single), (single,), mapped, {single: opened})
        if index.is_file():
            where = _indexed(index)
            shards = tuple(sorted(set(where.values())))
            return FolderTensors(folder, f"{words} in {len(shards)} shards", where, (index, *shards), mapped)
    if (folder / "runtime.json").is_file():
        raise ModelError(
            f"{folder} is exported for a runtime and holds no weights, which this job needs: give the folder it was exported from"
        )
    for ending, what in _FOREIGN.items():
        if found := next(folder.rglob(f"*{ending}"), None):
            raise ModelError(
                f"{folder} has no model.safetensors, only {found.relative_to(folder)}, {what}: "
                "give the folder that it was made from, or download model.safetensors too"
            )
    raise ModelError(f"{folder} has a config.json but no model.safetensors: the download is incomplete")


def has_tensors(folder: Path) -> bool:
    """Whether `open_tensors` finds a file there."""
    return any((folder / (base + end)).is_file() for base in (SAFE, PICKLE) for end in ("", INDEX))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder by their names. Raises ModelError with the cause and the cure."""
    source = open_tensors(folder)
    return {name: source.read(name) for name in source.names}


def _indexed(index: Path) -> dict[str, Path]:
    """Name -> shard, as the index says; the shards must be there, beside it."""
    folder = index.parent
    try:
        said = json.loads(index.read_text("utf-8"))["weight_map"].items()
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
        raise _broken(folder, error) from error
    where = {str(name): folder / Path(str(shard)).name for name, shard in said}
    missing = sorted({shard.name for shard in where.values() if not shard.is_file()})
    if missing:
        raise ModelError(f"{folder} lacks {missing[0]}, which its index names: the download is incomplete")
    return where


def _opened(file: Path, folder: Path, mapped: bool) -> Any:
    """Something with keys: a pickle's tensors, or a safetensors file whose tensors are read later."""
    if file.suffix == ".bin":
        return _pickled(file, mapped)
    try:
        return safe_open(str(file), framework="pt")
    except SafetensorError as error:
        with file.open("rb") as opened:
            if opened.read(len(_POINTER)) == _POINTER:
                raise ModelError(f"{file} is a pointer of Git LFS and not the weights: fetch them with git lfs pull") from error
        raise _broken(folder, error) from error


def _pickled(file: Path, mapped: bool) -> dict[str, Tensor]:
    """An old checkpoint: tensors are read, code in it is never run. Only the zip layout can be mapped."""
    with file.open("rb") as opened:
        mapped = mapped and opened.read(2) == b"PK"
    try:
        found = torch.load(file, map_location="cpu", weights_only=True, mmap=mapped)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        raise ModelError(
            f"{file} is broken, or holds more than plain tensors, which is not run here: get the model as safetensors"
        ) from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} holds no tensors by name: get the model as safetensors")
    return {str(name): tensor for name, tensor in found.items() if isinstance(tensor, Tensor)}


def _broken(folder: Path, error: Exception) -> ModelError:
    return ModelError(f"the weights in {folder} are broken ({error}): download them again")
