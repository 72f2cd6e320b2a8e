"""Decoders as GGUF, llama.cpp's format: one file with weights, tokenizer and all that is known of the model.

int8 is q8_0, int4 is q4_0 with the token table and the output in q8_0; vectors stay in float32. The file is read back, its
weights are put into the model in place of its own, and that model is compared with the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from maskfork.core.positions.rotary import Rotary
from maskfork.core.spec import FeedForwardSpec, StackSpec
from maskfork.deploy.export.agreement import Agreement, agreement
from maskfork.deploy.export.gguf_words import add_tokenizer
from maskfork.deploy.export.onnx import needed
from maskfork.deploy.export.rows import Given
from maskfork.deploy.export.writing import texts_of, wanted_of
from maskfork.errors import ModelError
from maskfork.models.families import family_of
from maskfork.models.folder import table_of
from maskfork.models.formats.place import in_place
from maskfork.models.hub import their_tensors
from maskfork.models.model import Model

Bits = Literal["fp32", "bf16", "int8", "int4"]
Step = Callable[[float, str], None]
KINDS = {"fp32": "F32", "bf16": "BF16", "int8": "Q8_0", "int4": "Q4_0"}
FAMILIES = {"llama": "LLAMA", "mistral": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3", "gpt2": "GPT2"}
PAIRED = ("LLAMA",)  # whose rotation turns neighbours, and their rows are put beside each other
LARGE = ("token_embd.weight", "output.weight")
BLOCK = 32  # numbers that share a scale
LOOKED_UP = ("position_embd.weight", "token_types.weight")  # kept as they are


def export_gguf(
    model: Model, folder: Path, target: Path, precision: Bits, rows: Given | None, least: float | None, step: Step
) -> tuple[Agreement, list[str]]:
    """Write the file, whole or not at all: how it agrees, and what is to be said. Raises ModelError, UsageError."""
    tool = needed("gguf", "an export to gguf")
    architecture = _architecture(model, folder)
    texts = texts_of(model, rows)
    notes = [f"compared on {len(texts)} {'embedded sentences' if rows is None else f'texts of {rows.file.name}'}"]
    wanted = wanted_of(model, texts)
    with in_place(target) as new:
        step(0.1, "writing")
        out = tool.GGUFWriter(str(new), getattr(tool.MODEL_ARCH, architecture).name.lower())
        _describe(out, model, folder, getattr(tool.LlamaFileType, file_type(precision)))
        add_tokenizer(out, tool, model)
        write_weights(out, tool, _named(tool, model, architecture), precision)
        step(0.5, "checking")
        again = _read_back(tool, new, model, architecture)
        found = agreement("labels", wanted, wanted_of(again, texts))
        found.check(precision, least, f"the export of {folder} to gguf in {precision}")
        step(0.4, "checked")
    return found, notes


def _architecture(model: Model, folder: Path) -> str:
    """Raises ModelError for a model that llama.cpp computes otherwise."""
    spec, stack = model.spec, model.spec.main
    if spec.family not in FAMILIES or spec.fork != "decoder":
        raise ModelError(f"{folder} is a {spec.family}, and to gguf go {', '.join(FAMILIES)}: take --to onnx, or safetensors")
    scaled = [p for p in stack.positions if isinstance(p, Rotary) and p.scaling is not None]
    if scaled or stack.layers:
        what = type(scaled[0].scaling).__name__ if scaled else "a rule of its own for some layers"
        raise ModelError(
            f"{folder} has {what}, which is not written into gguf here: take llama.cpp's own converter, or --to onnx"
        )
    return FAMILIES[spec.family]


def _describe(out: Any, model: Model, folder: Path, kind: Any) -> None:
    """What llama.cpp must know beside the weights."""
    stack: StackSpec = model.spec.main
    attention = stack.attention
    out.add_name(folder.name)
    out.add_file_type(kind)
    out.add_context_length(model.spec.max_length or int(model.config.get("max_position_embeddings", 2048)))
    out.add_embedding_length(stack.hidden_size)
    out.add_block_count(stack.depth)
    out.add_feed_forward_length(_inner(stack, folder))
    out.add_head_count(attention.num_heads)
    out.add_head_count_kv(attention.num_kv_heads)
    out.add_vocab_size(model.spec.vocab_size)
    rms = stack.norm.kind == "rms"
    (out.add_layer_norm_rms_eps if rms else out.add_layer_norm_eps)(stack.norm.eps)
    if attention.head_size * attention.num_heads != stack.hidden_size:
        out.add_key_length(attention.head_size)
        out.add_value_length(attention.head_size)
    for scheme in stack.positions:
        if isinstance(scheme, Rotary):
            out.add_rope_dimension_count(scheme.size or int(attention.head_size * scheme.share))
            out.add_rope_freq_base(scheme.base)


def _inner(stack: StackSpec, folder: Path) -> int:
    """Numbers between a layer's two projections. Raises ModelError for experts."""
    if not isinstance(stack.feed_forward, FeedForwardSpec):
        raise ModelError(f"{folder} has experts, which are not written into gguf here: take --to safetensors")
    return stack.feed_forward.size


def _named(tool: Any, model: Model, architecture: str) -> Iterator[tuple[str, Tensor]]:
    """llama.cpp's names and matrices. Raises ModelError for a tensor that it has no name for."""
    names = tool.get_tensor_name_map(getattr(tool.MODEL_ARCH, architecture), model.spec.main.depth)
    for theirs, weight in _weights(model).items():
        ours = names.get_name(theirs, try_suffixes=(".weight", ".bias"))
        if ours is None:
            raise ModelError(f"llama.cpp has no place for {theirs}: this model is not one of its {architecture.lower()}")
        yield ours, _turned(ours, weight, model, architecture)


def _weights(model: Model) -> dict[str, Tensor]:
    """By the checkpoint's names, a tied output once."""
    found = their_tensors(model)
    tied = model.spec.head is not None and model.spec.head.tied
    return {name: t for name, t in found.items() if not (tied and name == "lm_head.weight") and not name.endswith(".attn.bias")}


def _turned(name: str, weight: Tensor, model: Model, architecture: str, *, back: bool = False) -> Tensor:
    """A matrix as llama.cpp stores it, or back again. It is its own inverse but for the rows of queries and keys."""
    attention = model.spec.main.attention
    if architecture == "GPT2" and weight.dim() == 2 and name.startswith("blk."):
        return weight.T  # GPT-2's folders hold its matrices the other way round
    part = name.split(".")[2] if name.startswith("blk.") else ""
    if architecture not in PAIRED or part not in ("attn_q", "attn_k"):
        return weight
    heads = attention.num_heads if part == "attn_q" else attention.num_kv_heads
    half = weight.shape[0] // heads // 2
    split = weight.reshape(heads, *((half, 2) if back else (2, half)), *weight.shape[1:])
    return split.transpose(1, 2).reshape(weight.shape)


def write_weights(out: Any, tool: Any, named: Iterable[tuple[str, Tensor]], precision: Bits) -> None:
    """The tensors by gguf's names, then the file; nothing can be added to it any more."""
    for name, weight in named:
        kind = getattr(tool.GGMLQuantizationType, _kind_of(name, weight, precision))
        values = weight.detach().float().contiguous().numpy()
        out.add_tensor(name, values if kind.name == "F32" else tool.quants.quantize(values, kind), raw_dtype=kind)
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _kind_of(name: str, weight: Tensor, precision: Bits) -> str:
    """gguf's name of how a tensor is held."""
    if weight.dim() < 2 or name in LOOKED_UP:
        return "F32"
    if precision in ("int8", "int4") and weight.shape[-1] % BLOCK:
        return "BF16"
    return "Q8_0" if precision == "int4" and name in LARGE else KINDS[precision]


def file_type(precision: Bits) -> str:
    """gguf's name of a file in these bits."""
    return "ALL_F32" if precision == "fp32" else f"MOSTLY_{KINDS[precision]}"


def _read_back(tool: Any, file: Path, model: Model, architecture: str) -> Model:
    """The model with the file's numbers in place of its own. Raises ModelError where one is missing."""
    held = {one.name: tool.quants.dequantize(one.data, one.tensor_type) for one in tool.GGUFReader(str(file)).tensors}
    found: dict[str, Tensor] = {}
    for (ours, _), (theirs, like) in zip(_named(tool, model, architecture), _weights(model).items(), strict=True):
        values = torch.from_numpy(np.array(held[ours], np.float32))
        found[theirs] = _turned(ours, values, model, architecture, back=True).reshape(like.shape)
    tensors, _ = table_of(family_of(model.config), model.spec).read(found)
    again = Model(model.spec, model.config).eval()
    return filled(again, model, tensors)


def filled(again: Model, model: Model, tensors: Mapping[str, Tensor]) -> Model:
    """`again` with these tensors, and what they lack from `model`."""
    wanted = model.state_dict()
    state = {name: tensors.get(name.removeprefix("body."), wanted[name]) for name in wanted}
    again.load_state_dict(state)
    return again
