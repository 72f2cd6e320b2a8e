"""Which model it is, by its content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_SAID = ("*.json", "*.txt", "*.model", "*.safetensors", "*.jinja")  # what decides a model's answers


@lru_cache(maxsize=64)
def digest(folder: Path) -> str:
    """sha256 (hex) of the names and contents of the files that decide what a model answers."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in _SAID for path in folder.glob(pattern)}):
        total.update(f"{path.name}:{file_digest(path)};".encode())
    return total.hexdigest()


def file_digest(path: Path) -> str:
    """sha256 (hex) of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
