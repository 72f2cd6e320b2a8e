"""An adapter's tensors under peft's names, both ways.

    base_model.model.<their module>.lora_A.weight [R, I]    .lora_B.weight [O, R]    .lora_magnitude_vector [O]
    base_model.model.<their module>.ia3_l [O, 1], or [1, I] where it falls on what enters
    prompt_embeddings [P, E], or [P, L * 2 * G * D] of a prefix
    base_model.model.<their tensor> of the adapter's own head (base_model.<their tensor> beside a prompt or a prefix)

Legend: O rows, I input size, R rank, P virtual tokens, E width, L layers, G key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from maskfork.core.spec import ModelSpec, StackSpec
from maskfork.errors import ModelError, UsageError
from maskfork.models.adapters.config import scale_for
from maskfork.models.adapters.describe import LoRA
from maskfork.models.adapters.parts import Factor, InputFactor, LowRank, Part
from maskfork.models.adapters.places import Place, Places, ends

STEM = "base_model.model."
VIRTUAL = "prompt_embeddings"


# --- theirs to ours


def read_parts(tensors: Mapping[str, Tensor], places: Places, about: Mapping[str, Any]) -> list[tuple[Place, Part]]:
    """The parts that the tensors of modules describe. Raises ModelError on a module that cannot be adapted here."""
    found: list[tuple[Place, Part]] = []
    for module, own in sorted(_by_module(tensors).items()):
        place = _place(module, places)
        linear = places.linears[place.path]
        if "ia3_l" in own:
            factor = own["ia3_l"].flatten()
            if own["ia3_l"].shape[0] == 1 and any(ends(module, t) for t in about.get("feedforward_modules") or ()):
                found.append((place, InputFactor(factor, place.start, place.stop)))
            else:
                found.append((place, Factor(_ours(factor, place), place.start)))
            continue
        if "lora_A.weight" not in own or "lora_B.weight" not in own:
            raise ModelError(f"the adapter has {', '.join(own)} for {module}, which is not known here: merge it with peft first")
        a, b = own["lora_A.weight"], own["lora_B.weight"]
        if a.shape[1] != linear.in_features or b.shape[0] != place.stop - place.start:
            raise ModelError(
                f"the adapter's matrices for {module} are for {a.shape[1]} inputs and {b.shape[0]} outputs, the base has "
                f"{linear.in_features} and {place.stop - place.start}: it was trained on another base"
            )
        magnitude = own.get("lora_magnitude_vector", own.get("lora_magnitude_vector.weight"))
        part = LowRank(
            a.clone(), _ours(b, place), place.start, scale=scale_for(module, a.shape[0], about),
            dropout=float(about.get("lora_dropout") or 0.0), magnitude_O=None if magnitude is None else _ours(magnitude, place),
        )  # fmt: skip
        found.append((place, part))
    return found


def read_virtual(tensors: Mapping[str, Tensor], stack: StackSpec, *, prefix: bool, length: int) -> Tensor | None:
    """A prompt [P, E] or a prefix [L, 2, P, G, D]; None where the tensors hold none. Raises ModelError."""
    if VIRTUAL not in tensors:
        return None
    held = tensors[VIRTUAL]
    if not prefix:
        return held[:length].clone()  # of an encoder-decoder's two prompts peft reads the first
    heads, size = stack.attention.num_kv_heads, stack.attention.head_size
    if held.shape[1] != stack.depth * 2 * heads * size:
        raise ModelError(
            f"the prefix has {held.shape[1]} numbers a place and the base needs {stack.depth * 2 * heads * size}: "
            "it was trained on another base"
        )
    return held.view(length, stack.depth, 2, heads, size).permute(1, 2, 0, 3, 4).clone()


def head_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What is no adapter's: modules that were saved with it, under their own names."""
    own = {n: t for n, t in tensors.items() if n != VIRTUAL and not any(f".{m}" in n for m in ("lora_", "ia3_l"))}
    return {
        n.removeprefix("base_model.").removeprefix("model.") if n.startswith(STEM) else n.removeprefix("base_model."): t
        for n, t in own.items()
    }


def _by_module(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        for mark in (".lora_", ".ia3_l"):
            module, there, rest = name.removeprefix(STEM).partition(mark)
            if there:
                found.setdefault(module, {})[mark[1:] + rest] = tensor
    return found


def _place(module: str, places: Places) -> Place:
    """A name with or without the family's prefix."""
    hits = [p for name, p in places.theirs.items() if name == module or ends(name, module) or ends(module, name)]
    if len(hits) != 1:
        raise ModelError(f"the adapter changes '{module}', which is no linear map of the base's: it was trained on another base")
    return hits[0]


def _ours(rows: Tensor, place: Place) -> Tensor:
    """Their rows in our order."""
    return rows.clone() if place.order is None else torch.empty_like(rows).index_copy(0, place.order, rows)


# --- ours to theirs


def write_parts(parts: Sequence[tuple[str, Part]], places: Places, description: Any) -> dict[str, dict[str, Tensor]]:
    """By their module, its tensors. `parts` by the path of the linear map. Raises UsageError where they have no such module."""
    found: dict[str, dict[str, Tensor]] = {}
    left = list(parts)
    for module, place in places.theirs.items():
        inside = [p for path, p in parts if path == place.path and place.start <= p.start and p.stop <= place.stop]
        if inside:
            left = [(path, p) for path, p in left if p not in inside]
            found[module] = _joined(inside, place, module, description)
    if left:
        raise UsageError(
            f"the checkpoint has no module for what is adapted in {left[0][0]}: merge the adapter and save the whole model"
        )
    return found


def write_virtual(values: Tensor, spec: ModelSpec) -> Tensor:
    """A prompt or a prefix as peft keeps it."""
    if values.dim() == 2:  # an encoder-decoder's second prompt is never read
        return values if spec.fork != "encoder-decoder" else torch.cat([values, values])
    return values.permute(2, 0, 1, 3, 4).flatten(1)


def _joined(parts: Sequence[Part], place: Place, module: str, description: Any) -> dict[str, Tensor]:
    """The tensors of one of their modules, of which several of our parts may change some rows each."""
    first, count = parts[0], place.stop - place.start
    if isinstance(first, InputFactor):
        if first.stop - first.start != count:
            raise UsageError(
                f"a factor on what enters a part of {module} has no place in it: merge the adapter and save the whole model"
            )
        return {"ia3_l": first.factor.detach()[None]}
    if isinstance(first, Factor):
        factor = torch.ones(count)
        for part in parts:
            assert isinstance(part, Factor)
            factor[part.start - place.start : part.stop - place.start] = part.factor.detach().cpu()
        return {"ia3_l": _theirs(factor, place)[:, None]}
    low = [p for p in parts if isinstance(p, LowRank)]
    if any(p.magnitude is not None for p in low) and sum(p.stop - p.start for p in low) != count:
        raise UsageError(f"DoRA on a part of {module} has no place in it: merge the adapter and save the whole model")
    assert isinstance(description, LoRA)
    a = torch.cat([p.a.detach().cpu() for p in low])
    b = torch.zeros(count, len(a))
    at = 0
    for part in low:  # one block for each: the others' rows are not touched
        rank = part.a.shape[0]
        b[part.start - place.start : part.stop - place.start, at : at + rank] = part.b.detach().cpu()
        at += rank
    made = {"lora_A.weight": a, "lora_B.weight": _theirs(b, place)}
    if low[0].magnitude is not None:
        magnitudes = [p.magnitude.detach().cpu() for p in sorted(low, key=lambda p: p.start) if p.magnitude is not None]
        made["lora_magnitude_vector"] = _theirs(torch.cat(magnitudes), place)
    return made


def _theirs(rows: Tensor, place: Place) -> Tensor:
    return rows if place.order is None else rows[place.order]
