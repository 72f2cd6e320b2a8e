"""Writing a checkpoint folder in the Hugging Face layout."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskfork.core.spec import ModelSpec
from maskfork.errors import ModelError
from maskfork.models.families import Family, family_of
from maskfork.models.formats.readable import save_tensors
from maskfork.models.tokenizers import Tokenizer
from maskfork.models.weights import Table

LABELLED = ("classify", "tag", "span", "pretrain")  # the heads whose size the reference reads from the labels


def table_of(family: Family, spec: ModelSpec) -> Table:
    """The family's rules for this spec."""
    prefix = family.prefixes.get(spec.head.kind if spec.head else None, family.prefix)
    return Table(family.weights(spec), prefix, family.aliases, family.leave, family.old_prefixes)


def strip(name: str) -> str:
    """A parameter's name in the tables: without `body.`."""
    return name.removeprefix("body.")


def their_names(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our tensors (weights, or gradients under the same names) under the checkpoint's names."""
    return table_of(family_of({"model_type": spec.family}), spec).write(tensors, headed=headed(spec))


def headed(spec: ModelSpec) -> bool:
    """Whether the names of the body begin with the family's prefix."""
    return spec.head is not None and spec.head.kind != "pool"


def write_folder(
    folder: str | Path,
    spec: ModelSpec,
    config: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    tokenizer: Tokenizer | None,
    generation: Mapping[str, Any] | None = None,
) -> Path:
    """config.json, model.safetensors, the tokenizer's files, generation_config.json where there is something to say.

    Raises ModelError where the folder is a file.
    """
    folder = Path(folder)
    if folder.is_file():
        raise ModelError(f"{folder} is a file: name a folder to save into")
    folder.mkdir(parents=True, exist_ok=True)
    theirs = {name: t.detach().contiguous().cpu() for name, t in their_names(spec, tensors).items()}
    dtype = next(iter(theirs.values())).dtype
    made = table_of(family_of({"model_type": spec.family}), spec).made(headed=headed(spec))
    theirs |= {name: t.to(dtype) for name, t in made.items()}
    if len({t.data_ptr() for t in theirs.values()}) < len(theirs):  # safetensors keeps no two names of one memory
        theirs = {name: t.clone() for name, t in theirs.items()}
    written = config_of(spec, config, dtype)
    part = folder / "model.safetensors.part"  # a folder whose writing was cut off keeps its old weights
    save_tensors(theirs, part)
    (folder / "config.json").write_text(json.dumps(written, indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    part.replace(folder / "model.safetensors")
    if generation:
        (folder / "generation_config.json").write_text(json.dumps(generation, indent=2, sort_keys=True) + "\n", "utf-8")
    if tokenizer is not None:
        write_tokenizer(folder, spec, tokenizer)
    return folder


def config_of(spec: ModelSpec, config: Mapping[str, Any], dtype: torch.dtype) -> dict[str, Any]:
    """What config.json says of a model."""
    written = {**config, "model_type": spec.family, "architectures": [_architecture(spec)]}
    written.pop("auto_map", None)  # the names written are those of the library's own class, not of code beside a folder
    if spec.head is not None and spec.head.kind in LABELLED and len(written.get("id2label") or {}) != spec.head.labels:
        # Families count labels differently where none is named, and a span's two may follow on a classifier's five.
        written.pop("num_labels", None)
        written["id2label"] = {str(i): f"LABEL_{i}" for i in range(spec.head.labels)}
        written["label2id"] = {f"LABEL_{i}": i for i in range(spec.head.labels)}
    written.pop("torch_dtype", None)
    written["dtype"] = str(dtype).removeprefix("torch.")
    return written


def write_tokenizer(folder: Path, spec: ModelSpec, tokenizer: Tokenizer) -> None:
    """The tokenizer's files, with what the model wants of it."""
    stack = spec.encoder or spec.decoder
    typed = stack is not None and stack.embed.types > 1
    tokenizer.save(folder, ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"])


def _architecture(spec: ModelSpec) -> str:
    family = family_of({"model_type": spec.family})
    kind = spec.head.kind if spec.head else None
    if spec.fork == "encoder" and kind is None and family.lone_encoder:
        return family.lone_encoder
    return family.architectures[kind]
