"""Tensors into a folder: safetensors or an old pickle, one file or shards with an index, as `transformers` names them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from maskfork.errors import ModelError
from maskfork.models.formats.readable import save_tensors
from maskfork.models.formats.tensors import INDEX, PICKLE, SAFE


def plan_shards(sizes: Mapping[str, int], limit: int | None) -> list[list[str]]:
    """Names in order, a new shard where the next tensor would go over `limit` bytes; one larger than that lies alone."""
    shards: list[list[str]] = [[]]
    full = 0
    for name, size in sizes.items():
        if shards[-1] and limit is not None and full + size > limit:
            shards.append([])
            full = 0
        shards[-1].append(name)
        full += size
    return shards


def write_tensors(
    folder: Path, names: Sequence[str], sizes: Mapping[str, int], read: Callable[[str], Tensor], base: str, limit: int | None
) -> list[Path]:
    """The files written. `read` is asked for one shard's tensors at a time; `base` is `model.safetensors` or a pickle's name."""
    shards = plan_shards({name: sizes[name] for name in names}, limit)
    stem, end = base.rsplit(".", 1)
    files: list[Path] = []
    where: dict[str, str] = {}
    for number, chosen in enumerate(shards, 1):
        file = folder / (base if len(shards) == 1 else f"{stem}-{number:05d}-of-{len(shards):05d}.{end}")
        # A copy of each: two names of one memory, or a part of a larger one, are no file of either kind.
        tensors = {name: read(name).clone(memory_format=torch.contiguous_format) for name in chosen}
        try:
            if base == SAFE:
                save_tensors(tensors, file)
            else:
                torch.save(tensors, file)
        except (SafetensorError, RuntimeError) as error:  # their words for a full disk
            raise ModelError(f"{file.name} cannot be written ({error}): give it room, or name another place") from error
        files.append(file)
        where |= dict.fromkeys(chosen, file.name)
    if len(shards) > 1:
        index = folder / (base + INDEX)
        total = sum(sizes[name] for name in names)
        said = {"metadata": {"total_size": total}, "weight_map": where}
        index.write_text(json.dumps(said, indent=2, sort_keys=True) + "\n", "utf-8")
        files.append(index)
    return files


__all__ = ["PICKLE", "SAFE", "plan_shards", "write_tensors"]
