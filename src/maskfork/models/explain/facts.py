"""The facts of a folder, gathered: from config.json, the headers of the weights, and the kernels' answers to a batch."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.mask import Full
from maskfork.core.spec import ModelSpec, StackSpec
from maskfork.core.transformer import Stack
from maskfork.models.explain.headers import read_headers
from maskfork.models.explain.kernels import KernelFacts, ask_all
from maskfork.models.explain.memory import Memory, memory
from maskfork.models.hub import read_config, sketch


@dataclass(frozen=True)
class LayerFacts:
    """One layer. `block` is the number of the weights it uses; `kernel` and `cross_kernel` count `Explanation.kernels`."""

    stack: str
    layer: int
    rule: str
    positions: tuple[str, ...]
    feed_forward: str
    parameters: int
    block: int
    kernel: int
    cross_kernel: int | None = None


@dataclass(frozen=True)
class Explanation:
    """All facts of a model. `has_weights` False: the folder holds a config.json alone, and the sizes follow from it."""

    folder: str
    family: str
    fork: str
    parameters: int
    has_weights: bool
    layers: tuple[LayerFacts, ...]
    stacks: dict[str, str]
    embeddings: dict[str, int]
    head: str | None
    head_parameters: int
    kernels: tuple[KernelFacts, ...]
    memory: Memory
    batch: str


def explain(folder: Path, batch: Batch, words: str = "") -> Explanation:
    """What the model in `folder` is, and how it runs on `batch` (both sides of an encoder-decoder read it).

    `words` describes the batch. Nothing is computed and no weight is read. Raises ModelError.
    """
    tensors = read_headers(folder)
    model = sketch(read_config(folder), tensors)
    spec = model.spec
    kernels: list[KernelFacts] = []
    layers: list[LayerFacts] = []
    with torch.inference_mode():
        for name, stack in (("encoder", model.body.encoder), ("decoder", model.body.decoder)):
            if stack is not None:
                layers += _layers(name, stack, batch, kernels)
    stored: dict[str, int] = {}
    for tensor in tensors.values():
        kind = str(tensor.dtype).removeprefix("torch.")
        stored[kind] = stored.get(kind, 0) + tensor.numel() * tensor.element_size()
    total = _count(model)
    described = {name: _described(s) for name, s in (("encoder", spec.encoder), ("decoder", spec.decoder)) if s is not None}
    count = int((batch.segments >= 0).sum()) if batch.segments is not None else batch.tokens.numel()
    return Explanation(
        str(folder), spec.family, spec.fork, total, bool(tensors), tuple(layers), described, _around(spec, model.body),
        spec.head.kind if spec.head else None, 0 if model.head is None else _count(model.head), tuple(kernels),
        memory(spec, total, stored, count), words or f"{batch.shape[0]} x {batch.shape[1]} tokens",
    )  # fmt: skip


def _layers(name: str, stack: Stack, batch: Batch, kernels: list[KernelFacts]) -> list[LayerFacts]:
    spec, found = stack.spec, []

    def number(facts: KernelFacts) -> int:
        if facts not in kernels:
            kernels.append(facts)
        return kernels.index(facts)

    known: dict[Any, KernelFacts] = {}  # asked once for layers that ask alike

    def ask(block: Any, rule: Any, *, cross: bool) -> int:
        attention = block.cross if cross else block.attention
        key = (rule, cross, attention.has_logits)
        if key not in known:
            known[key] = ask_all(attention, rule, batch, batch, cross=cross)
        return number(known[key])

    for i, rule in enumerate(spec.masks):
        block: Any = stack.layers[spec.blocks[i]]
        chosen = spec.layer(i).positions
        schemes = spec.positions if chosen is None else tuple(spec.positions[at] for at in chosen)
        found.append(
            LayerFacts(
                name,
                i,
                str(rule),
                tuple(brief(s) for s in schemes),
                spec.feed_forward_of(i).describe(),
                _count(block),
                spec.blocks[i],
                ask(block, rule, cross=False),
                ask(block, Full(), cross=True) if block.cross is not None else None,
            )
        )  # fmt: skip
    return found


def brief(value: Any) -> str:
    """A frozen description as it would be written, without the fields that are as they are by default."""
    said = []
    for field in fields(value):
        own = getattr(value, field.name)
        if field.default is MISSING and field.default_factory is MISSING:
            said.append(f"{field.name}={own!r}" if not isinstance(own, int | float) or isinstance(own, bool) else f"{own:g}")
        elif field.default is not MISSING and own != field.default:
            said.append(f"{field.name}={brief(own) if hasattr(own, '__dataclass_fields__') else repr(own)}")
    return f"{type(value).__name__}({', '.join(said)})" if said else type(value).__name__


def _described(stack: StackSpec) -> str:
    attention = stack.attention
    heads = f"{attention.num_heads} heads of {attention.head_size}"
    if attention.num_kv_heads != attention.num_heads:
        heads += f" over {attention.num_kv_heads} of keys and values"
    if attention.latent is not None:
        heads += f", latent (keys and values through {attention.latent.kv_rank})"
    norm = {"in": "before", "out": "after", "sum": "on the sum"}
    places = " and ".join(norm[place] for place in stack.norm_at)
    kind = {"rms": "RMSNorm", "layer": "LayerNorm"}[stack.norm.kind]
    extra = ", both sublayers in parallel" if stack.parallel else ""
    return f"{stack.depth} layers, hidden size {stack.hidden_size}, {heads}, {kind} {places}{extra}"


def _around(spec: ModelSpec, body: nn.Module) -> dict[str, int]:
    """Parameters of the body that stand outside the layers, by what they are; shared ones once."""
    layers: set[int] = set()
    for stack in (body.encoder, body.decoder):
        if isinstance(stack, Stack):
            layers |= {id(p) for p in stack.layers.parameters()}
    sums: dict[str, int] = {}
    for name, p in body.named_parameters():
        if id(p) not in layers:
            words = ["tokens" if "embed.tokens" in name else "types" if "embed.types" in name else
                     "positions" if ".positions." in name else "norms and projections"]  # fmt: skip
            if spec.fork == "encoder-decoder" and words != ["tokens"]:
                words.insert(0, name.split(".", 1)[0])
            sums[" ".join(words)] = sums.get(" ".join(words), 0) + p.numel()
    return sums


def _count(module: nn.Module) -> int:
    parameters: dict[int, Tensor] = {id(p): p for p in module.parameters()}
    return sum(p.numel() for p in parameters.values())
