"""The safetensors library writes for its owner alone, and a server in a container is somebody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def readable(file: Path) -> Iterator[None]:
    """What is saved as `file` meanwhile may be read by whoever may read a new file here, as the user's umask has it."""
    like = file.with_name(f".{file.name}.mode")
    like.touch()
    mode = like.stat().st_mode
    like.unlink()
    yield
    file.chmod(mode)
