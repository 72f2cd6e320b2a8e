"""Tensors into a safetensors file: the library writes for its owner alone, and a server in a container is somebody else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

TORCH = {"format": "pt"}  # what transformers asks for before it reads a file


def save_tensors(
    tensors: Mapping[str, Tensor] | Mapping[str, np.ndarray], file: Path, about: Mapping[str, str] | None = None
) -> None:
    """Contiguous tensors of torch, or arrays of numpy, with what the header says `about` them (of torch's, that they are).

    Whoever may read a new file here, as the user's umask has it, may read this one. Raises what the library raises.
    """
    like = file.with_name(f".{file.name}.mode")
    like.touch()
    mode = like.stat().st_mode
    like.unlink()
    whole: dict[str, Any] = dict(tensors)
    said = None if about is None else dict(about)
    if all(isinstance(one, np.ndarray) for one in whole.values()):
        from safetensors.numpy import save_file

        save_file(whole, file, said)
    else:
        from safetensors.torch import save_file as save_torch

        save_torch(whole, file, said or TORCH)
    file.chmod(mode)
