"""Which model it is, by its content."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

_SAID = ("*.json", "*.txt", "*.model", "*.safetensors", "*.jinja")  # what decides a model's answers


def digest(folder: Path) -> str:
    """sha256 (hex) of the names and contents of the files that decide what a model answers."""
    files = sorted({path for pattern in _SAID for path in folder.glob(pattern)})
    total = hashlib.sha256()
    for path in files:
        about = path.stat()
        total.update(f"{path.name}:{_as_it_is(path, about.st_mtime_ns, about.st_size, about.st_ino)};".encode())
    return total.hexdigest()


@lru_cache(maxsize=1024)
def _as_it_is(path: Path, changed: int, size: int, number: int) -> str:
    """Read once, as long as the file stays what it is."""
    return file_digest(path)


def file_digest(path: Path) -> str:
    """sha256 (hex) of a file. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
