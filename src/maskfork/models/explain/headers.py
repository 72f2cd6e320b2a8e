"""The names, shapes and types of a folder's tensors, from the files' headers: no value is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from maskfork.errors import ModelError

DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2, "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


def read_headers(folder: Path) -> dict[str, Tensor]:
    """Tensors on the meta device by name; none where the folder has no weights. Raises ModelError on broken files."""
    found: dict[str, Tensor] = {}
    for file in _files(folder):
        try:
            if file.suffix == ".bin":
                loaded = torch.load(file, map_location="meta", weights_only=True)
                found.update({name: t for name, t in loaded.items() if isinstance(t, Tensor)})
            else:
                found.update(_header(file))
        except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
            raise ModelError(f"{file} is broken ({str(error)[:120]}): download it again") from error
    return found


def _files(folder: Path) -> list[Path]:
    """The weights' files: one, its shards, or an old pickle."""
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return [single]
    if index.is_file():
        shards = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
        missing = [name for name in shards if not (folder / name).is_file()]
        if missing:
            raise ModelError(f"{folder} lacks {missing[0]}, which its index names: the download is incomplete")
        return [folder / name for name in shards]
    return [folder / "pytorch_model.bin"] if (folder / "pytorch_model.bin").is_file() else []


def _header(file: Path) -> Iterator[tuple[str, Tensor]]:
    with safe_open(str(file), framework="pt") as opened:
        for name in opened.keys():  # noqa: SIM118 (the reader has no iterator)
            part = opened.get_slice(name)
            yield name, torch.empty(part.get_shape(), dtype=DTYPES[part.get_dtype()], device="meta")
