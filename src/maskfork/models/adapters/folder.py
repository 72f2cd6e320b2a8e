"""An adapter's folder: peft's two files, and beside them what the base's folder cannot know.

adapter_config.json          the kind, its settings, the base's name
adapter_model.safetensors    the adapter and its own head
config.json, tokenizer       the labels, the form of the base; the words it was trained with
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from maskfork.errors import ModelError
from maskfork.models.adapters.adapters import Adapters
from maskfork.models.adapters.config import FILE, description_of, head_of, read_about
from maskfork.models.adapters.describe import LoRA, Prefix, QLoRA
from maskfork.models.adapters.tensors import (
    VIRTUAL,
    head_tensors,
    read_parts,
    read_virtual,
)
from maskfork.models.families import family_of
from maskfork.models.folder import table_of
from maskfork.models.quantised import NF4

TENSORS = "adapter_model.safetensors"
OWN = "maskfork_adapter"  # our part of the folder's config.json


@dataclass(frozen=True)
class AdapterFolder:
    """A folder that was read: what it says, its tensors, and the config.json beside them."""

    folder: Path
    about: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any]

    @staticmethod
    def open(folder: Path) -> AdapterFolder:
        """Raises ModelError."""
        about = read_about(folder)
        description_of(about, folder / FILE)  # an adapter that is not known is said before its base is read
        try:
            tensors = load_file(str(folder / TENSORS))
        except (OSError, SafetensorError) as error:
            raise ModelError(f"{folder / TENSORS} cannot be read ({error}): download the adapter again") from error
        file = folder / "config.json"
        config = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        return AdapterFolder(folder, about, tensors, config)

    @property
    def base(self) -> str:
        """Where its base is: a folder, beside it where the name is no other, or a Hub id. Raises ModelError."""
        named = self.about.get("base_model_name_or_path")
        if not named:
            raise ModelError(f"{self.folder / FILE} names no base: write its folder as base_model_name_or_path")
        beside = self.folder / str(named)
        return str(beside) if not Path(str(named)).is_dir() and beside.is_dir() else str(named)

    @property
    def head(self) -> str | None:
        """The head that it is for; None where the base's own is."""
        own = self.config.get(OWN) or {}
        return own.get("head") or head_of(self.about)

    @property
    def held(self) -> NF4 | None:
        """How its base is held in fewer bits, None where it is not."""
        own = (self.config.get(OWN) or {}).get("base")
        return None if own is None else NF4(**own)

    @property
    def labels(self) -> list[str] | None:
        """Names for the rows of its own output layer; None where it has none."""
        names = self.config.get("id2label") or {}
        if names:
            return [str(names[key]) for key in sorted(names, key=int)]
        ends = ("classifier.weight", "score.weight", "out_proj.weight", "vocab_projector.weight")
        own = [t for name, t in head_tensors(self.tensors).items() if name.endswith(ends)]
        return [f"LABEL_{i}" for i in range(own[-1].shape[0])] if own and self.head in ("classify", "tag") else None


def is_adapter_folder(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    return (
        (folder / FILE).is_file() and not any(folder.glob("model*.safetensors")) and not (folder / "pytorch_model.bin").is_file()
    )


def read_adapter(adapters: Adapters, found: AdapterFolder, name: str = "default", *, head_too: bool = True) -> str | None:
    """Add a folder's adapter, which is in use from now on; a sentence on what of it was left behind (its head).

    Raises ModelError where it was trained on another base.
    """
    host = adapters.host
    description = description_of(found.about, found.folder / FILE)
    places = adapters.places()
    parts = read_parts(found.tensors, places, found.about)
    virtual = None
    if VIRTUAL in found.tensors:
        length = int(found.about["num_virtual_tokens"])
        virtual = read_virtual(found.tensors, host.spec.main, prefix=isinstance(description, Prefix), length=length)
    own = head_tensors(found.tensors)
    if isinstance(description, LoRA) and found.held is not None:
        description = QLoRA(**{**vars(description), "base": found.held})
    adapters.put(name, description.replace(head=bool(own) or not head_too), parts, virtual)
    if own and not head_too:
        return f"left behind the head that the adapter brings ({next(iter(own))} ...)"
    if own:
        _read_head(adapters, own, name, found.folder)
    return None


def _read_head(adapters: Adapters, own: Mapping[str, Tensor], name: str, folder: Path) -> None:
    spec = adapters.host.spec
    ours, left = table_of(family_of({"model_type": spec.family}), spec).read(own)
    strangers = [n for n in ours if not n.startswith("head.")] + left
    if strangers or name not in adapters.heads:
        what = strangers[0] if strangers else next(iter(own))
        raise ModelError(
            f"{folder} brings its own {what}, which is no part of this model's head: merge it with peft, and load that"
        )
    wanted = dict(adapters.heads[name].named_parameters())
    for full, tensor in ours.items():
        parameter = wanted.get(full.removeprefix("head."))
        if parameter is None or parameter.shape != tensor.shape:
            raise ModelError(f"{folder}: {full} {list(tensor.shape)} does not fit the model's head: load it with its own labels")
        with torch.no_grad():
            parameter.copy_(tensor)
