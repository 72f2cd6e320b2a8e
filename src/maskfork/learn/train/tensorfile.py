"""A safetensors file written piece by piece, with its checksum: nothing is held twice, and what reached the disk is known."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
    torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def write_tensors(file: Path, tensors: Mapping[str, Tensor]) -> str:
    """Write and flush to the disk; returns the SHA-256 of the bytes. Raises OSError."""
    header: dict[str, Any] = {}
    end = 0
    for name, tensor in tensors.items():
        size = tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    found = hashlib.sha256()
    with file.open("wb") as out:
        for piece in (len(text).to_bytes(8, "little"), text):
            out.write(piece)
            found.update(piece)
        for tensor in tensors.values():
            flat = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
            out.write(flat)
            found.update(flat)
        out.flush()
        os.fsync(out.fileno())
    return found.hexdigest()


def write_text(file: Path, text: str) -> str:
    """The same for a text."""
    raw = text.encode("utf-8")
    with file.open("wb") as out:
        out.write(raw)
        out.flush()
        os.fsync(out.fileno())
    return hashlib.sha256(raw).hexdigest()


def checksum(file: Path) -> str:
    """SHA-256 of a file. Raises OSError."""
    with file.open("rb") as raw:
        return hashlib.file_digest(raw, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """So that the names in it are on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
