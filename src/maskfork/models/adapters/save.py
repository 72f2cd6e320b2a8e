"""Writing an adapter's folder (`folder.py` says what is in it)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskfork.errors import ModelError, UsageError
from maskfork.models.adapters.adapters import Adapters
from maskfork.models.adapters.config import FILE, shortest, task_type
from maskfork.models.adapters.describe import IA3, Description, LoRA, Prefix, Prompt, QLoRA
from maskfork.models.adapters.folder import OWN, TENSORS
from maskfork.models.adapters.host import Host
from maskfork.models.adapters.parts import InputFactor, LowRank, Part
from maskfork.models.adapters.places import Place, Places
from maskfork.models.adapters.tensors import STEM, VIRTUAL, write_parts, write_virtual
from maskfork.models.families import family_of
from maskfork.models.folder import config_of, headed, table_of, write_tokenizer
from maskfork.models.formats.readable import save_tensors
from maskfork.models.weights import Transpose


def save_adapter(host: Host, adapters: Adapters, folder: str | Path, name: str | None = None) -> Path:
    """Write one adapter (the one in use) so that peft and `load` read it. Raises UsageError, ModelError."""
    folder, before = Path(folder), adapters.active
    name = name or before
    if name is None or name not in adapters.described:
        raise UsageError("no adapter is in use that could be saved: name one")
    if folder.is_file():
        raise ModelError(f"{folder} is a file: name a folder to save into")
    folder.mkdir(parents=True, exist_ok=True)
    adapters.use(name)  # its head is the model's
    try:
        tensors, about = _written(host, adapters, name)
    finally:
        adapters.use(before)
    _write(folder, tensors, about, _own_config(host, adapters.described[name]))
    if host.has_tokenizer:
        write_tokenizer(folder, host.spec, host.tokenizer)
    return folder


def _written(host: Host, adapters: Adapters, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Its tensors under peft's names, and its adapter_config.json."""
    description, places = adapters.described[name], adapters.places()
    parts = [(path, p) for path, m in places.linears.items() if m.adapter is not None for p in m.adapter.of(name)]
    if name in adapters.heads:  # it is saved whole, with what changes it
        parts = [(path, p) for path, p in parts if not path.startswith("head.")]
    modules = write_parts(parts, places, description)
    tensors = {f"{STEM}{module}.{key}": t for module, own in modules.items() for key, t in own.items()}
    about: dict[str, Any] = {
        "base_model_name_or_path": str(host.folder.resolve()) if host.folder is not None else "",
        "task_type": task_type(host.spec), "inference_mode": True, "peft_type": _kind(description),
    }  # fmt: skip
    if isinstance(description, LoRA):
        about |= _lora_config(description, parts, modules, places)
    elif isinstance(description, IA3):
        entering = [m for m, p in places.theirs.items() if any(_is_at(p, q) for q in parts if isinstance(q[1], InputFactor))]
        about |= {"target_modules": shortest(list(modules), list(places.theirs)), "fan_in_fan_out": _turned(host)}
        about["feedforward_modules"] = shortest(entering, list(places.theirs)) if entering else []
    elif isinstance(description, Prefix | Prompt):
        values = (adapters.virtual.prefixes if isinstance(description, Prefix) else adapters.virtual.prompts)[name]
        tensors[VIRTUAL] = write_virtual(values.detach(), host.spec)
        about |= _virtual_config(host, description)
    if name in adapters.heads:
        own = _head_with(adapters, name, places)
        theirs = table_of(family_of({"model_type": host.spec.family}), host.spec).write(own, headed=headed(host.spec))
        stem = "base_model." if VIRTUAL in tensors else STEM
        tensors |= {f"{stem}{key}": t for key, t in theirs.items()}
        about["modules_to_save"] = _modules(list(theirs))
    if isinstance(description, LoRA):
        about["fan_in_fan_out"] = _turned(host)
    return tensors, about


def _head_with(adapters: Adapters, name: str, places: Places) -> dict[str, Tensor]:
    """The tensors of an adapter's own head, with its parts there merged into them."""
    head = adapters.heads[name]
    own = {f"head.{key}": p.detach() for key, p in head.named_parameters() if ".adapter." not in key}
    for path, linear in places.linears.items():
        if path.startswith("head.") and linear.adapter is not None and linear.adapter.of(name):
            weight, bias = linear.adapter.merged(name, linear)
            own[f"{path}.weight"] = weight
            own |= {} if bias is None else {f"{path}.bias": bias}
    return own


def _lora_config(
    description: LoRA, parts: Sequence[tuple[str, Part]], modules: Mapping[str, Mapping[str, Tensor]], places: Places
) -> dict[str, Any]:
    """Modules whose rank is another (several parts of ours in one of theirs) get their own rank and alpha: the scale stays."""
    ranks = {module: own["lora_A.weight"].shape[0] for module, own in modules.items()}
    scales = {p.scale for _, p in parts if isinstance(p, LowRank)}
    other = {module: rank for module, rank in ranks.items() if rank != description.rank}
    scale = next(iter(scales), description.scale) if len(scales) == 1 else description.scale
    alphas = {module: scale * (rank**0.5 if description.rslora else rank) for module, rank in other.items()}
    if len(scales) > 1:
        raise UsageError("this adapter's parts have scales of their own: merge it and save the whole model")
    return {
        "r": description.rank, "lora_alpha": _plain(description.alpha), "lora_dropout": description.dropout, "bias": "none",
        "use_rslora": description.rslora, "use_dora": description.dora, "init_lora_weights": True,
        "target_modules": shortest(list(modules), list(places.theirs)),
        "rank_pattern": other, "alpha_pattern": {module: _plain(alpha) for module, alpha in alphas.items()},
    }  # fmt: skip


def _virtual_config(host: Host, description: Prefix | Prompt) -> dict[str, Any]:
    stack = host.spec.main
    heads, size = stack.attention.num_kv_heads, stack.attention.head_size
    prefix = isinstance(description, Prefix)
    shape: dict[str, Any] = {
        "token_dim": heads * size,
        "num_attention_heads": heads,
        "encoder_hidden_size": heads * size,
        "prefix_projection": False,
    }
    if not prefix:
        width = stack.embed.size or stack.hidden_size
        shape = {"token_dim": width, "num_attention_heads": stack.attention.num_heads, "prompt_tuning_init": "RANDOM"}
    twice = 2 if host.spec.fork == "encoder-decoder" else 1
    length = description.length
    return {"num_virtual_tokens": length, "num_layers": stack.depth, "num_transformer_submodules": twice, **shape}


def _own_config(host: Host, description: Description) -> dict[str, Any]:
    """The model's config.json, with what else `load` must know."""
    own: dict[str, Any] = {"head": host.spec.head.kind if host.spec.head else "none"}
    if isinstance(description, QLoRA):
        own["base"] = asdict(description.base)
    return {**config_of(host.spec, host.config, torch.float32), OWN: own}


def _modules(names: Sequence[str]) -> list[str]:
    """The modules that hold these tensors, as peft names what it saves whole: the last part that is no layer of a classifier."""
    return sorted({_outer(name) for name in names})


def _outer(name: str) -> str:
    parts = name.split(".")[:-1]
    known = [p for p in parts if p in ("pooler", "classifier", "classification_head", "score", "qa_outputs", "head")]
    return known[0] if known else parts[-1]


def _is_at(place: Place, part: tuple[str, Part]) -> bool:
    return place.path == part[0] and place.start <= part[1].start and part[1].stop <= place.stop


def _turned(host: Host) -> bool:
    """Whether the checkpoint keeps its matrices transposed (GPT-2's Conv1D)."""
    return any(isinstance(r.operation, Transpose) for r in family_of({"model_type": host.spec.family}).weights(host.spec))


def _kind(description: Description) -> str:
    if isinstance(description, LoRA):
        return "LORA"
    return "IA3" if isinstance(description, IA3) else "PREFIX_TUNING" if isinstance(description, Prefix) else "PROMPT_TUNING"


def _plain(x: float) -> int | float:
    return int(x) if float(x).is_integer() else x


def _write(folder: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Both files, and config.json; a folder whose writing was cut off keeps its old ones."""
    own = {name: t.detach().float().cpu().contiguous().clone() for name, t in tensors.items()}
    part = folder / f"{TENSORS}.part"
    save_tensors(own, part)
    (folder / FILE).write_text(json.dumps(about, indent=2, sort_keys=True) + "\n", "utf-8")
    (folder / "config.json").write_text(json.dumps(config, indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")
    part.replace(folder / TENSORS)
