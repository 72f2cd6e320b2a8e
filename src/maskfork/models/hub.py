"""A checkpoint folder in the Hugging Face layout, local or from the Hub: read and write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from maskfork.core.spec import ModelSpec
from maskfork.errors import ModelError, UsageError
from maskfork.models.adapters import OWN, AdapterFolder, Adapters, is_adapter_folder, read_adapter
from maskfork.models.families import Family, all_families, family_of
from maskfork.models.find import find_folder
from maskfork.models.folder import strip, table_of, their_names
from maskfork.models.formats.tensors import read_weights
from maskfork.models.model import Model, check_vocabulary, initialise_tensor
from maskfork.models.quantised import quantise
from maskfork.models.tokenizers.read import has_tokenizer, load_tokenizer

GENERATION = "generation_config.json"


def load(
    where: str | Path,
    head: str | None = None,
    *,
    labels: Sequence[str] | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Model:
    """Load a model from a folder or a Hub id, in evaluation mode.

    `head`: `masked_lm`, `causal_lm`, `pretrain`, `classify`, `choice`, `pair`, `tag`, `span`, `detect`, `pool` or `none` instead
    of the one that config.json names; a head that the folder has no weights for starts fresh from `seed`, and `model.notes`
    says so. `labels` names a classifier's or a tagger's classes. An adapter's folder (peft's) is loaded with its base, and is in
    use. Raises ModelError or TokenizerError with the cause and the cure.
    """
    folder = find_folder(where)
    if is_adapter_folder(folder):
        return _load_adapted(AdapterFolder.open(folder), head, labels, seed, dtype)
    config = read_config(folder)
    if config.get("model_type") is not None:
        family_of(config)  # a family that is not known is said before gigabytes are read
    tensors = read_weights(folder)
    family = family_of(config, tensors)
    try:
        model = _build(family, config, tensors, folder, head, labels, seed, dtype)
    except KeyError as error:
        raise ModelError(f"{folder / 'config.json'} lacks {error}: the file is not complete") from error
    model.config["model_type"] = family.name  # the folder may have said another name, or none
    model.folder = folder
    if (folder / GENERATION).is_file():
        model.generation_config = read_object(folder / GENERATION)
    if has_tokenizer(folder):
        tokenizer = load_tokenizer(folder)
        check_vocabulary(model.spec, tokenizer, str(folder))
        model.tokenizer = tokenizer
    return model.eval()


def _load_adapted(found: AdapterFolder, head: str | None, labels: Sequence[str] | None, seed: int, dtype: torch.dtype) -> Model:
    """An adapter on its base. With another head or other labels, a head that the folder brings is left behind and said."""
    wanted, named = head or found.head, labels or found.labels
    try:
        base = find_folder(found.base)
    except ModelError as error:
        raise ModelError(
            f"{found.folder} is an adapter, and its base is not to be had: {error} (the adapter's adapter_config.json names it)"
        ) from error
    model = load(base, wanted, labels=named if wanted in ("classify", "tag") else None, seed=seed, dtype=dtype)
    model.config = {**model.config, **{key: value for key, value in found.config.items() if key not in ("dtype", OWN)}}
    if found.held is not None:
        model.notes += quantise(model.body, found.held)
    model.adapters = Adapters(model)
    left = read_adapter(model.adapters, found, head_too=wanted == found.head and named == found.labels)
    model.notes = [left] if left else [note for note in model.notes if not note.startswith("started head.")]
    if has_tokenizer(found.folder):
        tokenizer = load_tokenizer(found.folder)
        check_vocabulary(model.spec, tokenizer, str(found.folder))
        model.tokenizer = tokenizer
    return model.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """config.json of a folder. Raises ModelError where it is missing or broken."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelError(f"{folder} has no config.json: give the folder of a checkpoint in the Hugging Face layout")
    return read_object(file)


def read_object(file: Path) -> dict[str, Any]:
    """A JSON object of a folder. Raises ModelError where it is none."""
    try:
        found = json.loads(file.read_text("utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file} is not valid JSON ({error}): download it again") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} is not a JSON object: download it again")
    return found


def build(config: Mapping[str, Any], head: str | None = None, *, seed: int = 0, labels: Sequence[str] | None = None) -> Model:
    """A model with fresh weights from a config: what pre-training starts from, and what tests are made of."""
    family = family_of(config)
    config = _with_labels(dict(config), labels)
    spec = _spec(family, config, head)
    return Model(spec, config).initialise(seed).eval()


def _build(
    family: Family,
    config: dict[str, Any],
    tensors: dict[str, Tensor],
    folder: Path,
    head: str | None,
    labels: Sequence[str] | None,
    seed: int,
    dtype: torch.dtype,
) -> Model:
    config = dict(family.settle(config, tensors)) if family.settle is not None else config
    asked = head is not None
    head = _named_head(family, config, tensors) if head is None else head
    other_labels = labels is not None and _labels(config) != list(labels)
    config = _with_labels(dict(config), labels)
    spec = _spec(family, config, head)
    ours, left = table_of(family, spec).read(tensors)
    if other_labels:  # an output layer of as many other labels would answer with theirs
        ours = {name: tensor for name, tensor in ours.items() if not name.startswith("head.out.")}
    with torch.device("meta"):
        model = Model(spec, config)
    notes = _fill(model, ours, family, folder, seed, dtype, may_start_head=asked or other_labels)
    if left:
        notes.append(f"left behind {len(left)} tensors of another head ({left[0]} ...)")
    model.notes = notes
    return model


def named_head(folder: Path) -> str | None:
    """The head that a folder's config.json names; None where it names none or is of no family that is known."""
    config = read_config(folder)
    family = all_families().get(str(config.get("model_type")))
    return None if family is None else family.head_of((config.get("architectures") or [None])[0])


def sketch(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    """The model that `load` makes of a config and tensors of these names and shapes, on the meta device: sizes, no values.

    Without tensors the config decides alone. Raises ModelError.
    """
    family = family_of(config, tensors)
    try:
        config = family.settle(config, tensors) if family.settle is not None and tensors else config
        spec = _spec(family, config, _named_head(family, config, tensors))
    except KeyError as error:
        raise ModelError(f"config.json lacks {error}: the file is not complete") from error
    with torch.device("meta"):
        return Model(spec, config).eval()


def _named_head(family: Family, config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str | None:
    """The head that config.json names; where it names none, the one that the tensors' names tell of."""
    named = (config.get("architectures") or [None])[0]
    head = family.head_of(named)
    if head is None and "pool" in family.architectures and any(".pooler." in f".{name}" for name in tensors):
        head = "pool"
    if named is None and "causal_lm" in family.architectures and "lm_head.weight" in tensors:
        head = "causal_lm"
    return head


def _spec(family: Family, config: Mapping[str, Any], head: str | None) -> ModelSpec:
    spec = family.spec(config).replace(family=family.name)
    if head is None or head == "none":
        named = (config.get("architectures") or [None])[0]
        return spec.replace(decoder=None) if named is not None and named == family.lone_encoder else spec
    if head not in family.architectures:
        have = ", ".join(str(h) for h in family.architectures if h)
        if head == "causal_lm":
            raise UsageError(
                f"{family.name} is an encoder: its tokens see what follows, so it cannot continue text; use a decoder, "
                "or its masked-word head (masked_lm)"
            )
        raise UsageError(f"the {family.name} family has no '{head}' head: it has {have}")
    spec = spec.replace(head=family.head(head, config))
    return spec.replace(decoder=None) if head in family.lone_heads else spec


def _labels(config: Mapping[str, Any]) -> list[str]:
    """The label names of a config, in order; none where it has none."""
    names = config.get("id2label") or {}
    return [str(names[key]) for key in sorted(names, key=int)]


def _with_labels(config: dict[str, Any], labels: Sequence[str] | None) -> dict[str, Any]:
    if labels is not None:
        config["id2label"] = {str(i): name for i, name in enumerate(labels)}
        config["label2id"] = {name: i for i, name in enumerate(labels)}
        config["num_labels"] = len(labels)
        config["problem_type"] = "single_label_classification" if len(labels) > 1 else "regression"
    return config


def _fill(
    model: Model,
    ours: dict[str, Tensor],
    family: Family,
    folder: Path,
    seed: int,
    dtype: torch.dtype,
    *,
    may_start_head: bool,
) -> list[str]:
    """Put tensors into a model on the meta device; start a new head fresh; say what was started."""
    wanted = {strip(name): p for name, p in model.named_parameters()}
    strangers = [name for name in ours if name not in wanted]
    if strangers:
        raise ModelError(
            f"{folder} has {strangers[0]} (our name) that its config.json does not ask for: weights and config are of two models"
        )
    optional = set(table_of(family, model.spec).optional())
    fresh: list[str] = []
    values: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in wanted.items():
        if name in ours:
            if ours[name].shape != parameter.shape:
                if name.startswith("head.out.") and may_start_head:  # a classifier of other labels
                    fresh.append(name)
                else:
                    raise ModelError(
                        f"{folder}: {name} has shape {list(ours[name].shape)} and config.json asks for {list(parameter.shape)}: "
                        "weights and config are of two models"
                    )
            else:
                values[name] = ours[name].to(torch.float32 if getattr(parameter, "wide", False) else dtype)
                continue
        elif name in optional:
            values[name] = torch.zeros(parameter.shape, dtype=dtype)
            continue
        elif name.startswith("head.") and may_start_head:
            fresh.append(name)
        else:
            raise ModelError(f"{folder} lacks the tensor for {name}: the download is incomplete, or name another head")
        started = torch.nn.Parameter(torch.empty(parameter.shape, dtype=dtype))
        initialise_tensor(name, started, model.spec.initializer_range, generator, model.spec)
        values[name] = started.detach()
    for name, module in list(model.named_modules()):
        for key, parameter in list(module._parameters.items()):
            if parameter is not None:
                full = strip(f"{name}.{key}" if name else key)
                full = full if full in values else canonical(full)
                module._parameters[key] = torch.nn.Parameter(values[full], requires_grad=parameter.requires_grad)
        for key, buffer in list(module._buffers.items()):
            if buffer is not None and buffer.is_meta:
                module._buffers[key] = _rebuilt_buffer(module, key)
    _share(model)
    return [f"started {', '.join(sorted(fresh))} fresh (seed {seed})"] if fresh else []


def _rebuilt_buffer(module: torch.nn.Module, key: str) -> Tensor:
    """A buffer that follows from its module's own numbers (ALiBi's slopes), computed off the meta device."""
    from maskfork.core.positions.alibi import slopes

    return torch.tensor(slopes(module._buffers[key].shape[0]))  # type: ignore[union-attr]


def canonical(name: str) -> str:
    """The decoder's token table is the encoder's."""
    return "encoder.embed.tokens.weight" if name == "decoder.embed.tokens.weight" else name


def _share(model: Model) -> None:
    """One token table for both stacks, as the spec says."""
    if model.spec.one_table and model.body.encoder is not None and model.body.decoder is not None:
        model.body.decoder.embed.tokens = model.body.encoder.embed.tokens


def their_tensors(model: Model, tensors: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Tensors (the model's own, or others under the same names, such as gradients) under the checkpoint's names."""
    return their_names(model.spec, tensors if tensors is not None else model.tensors())


__all__ = ["build", "find_folder", "load", "named_head", "read_config", "read_weights", "sketch", "their_tensors"]
