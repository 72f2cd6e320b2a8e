"""Models that write, as graphs: a decoder with its cache; an encoder-decoder as two, the source read once.

Inputs and outputs have the names that onnxruntime's users know: past_key_values.0.key [B, G, P, D] enters, present.0.key leaves.

Legend: B batch, S new tokens, P tokens in the cache, K of the source, L layers, G key/value heads, D head size, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from maskfork.core.batch import Traced
from maskfork.core.cache_traced import TracedCache
from maskfork.core.transformer import Pass
from maskfork.deploy.export.graph import traced
from maskfork.errors import ModelError
from maskfork.models.model import Model

DYNAMIC = torch.export.Dim.AUTO


@dataclass(frozen=True)
class Graph:
    """A traced module, and what its inputs and outputs are called."""

    program: torch.export.ExportedProgram
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def sizes(self) -> dict[str, dict[int, str]]:
        """What its open sizes are called, by input."""
        found: dict[str, dict[int, str]] = {}
        for name in self.inputs:
            kind = name.partition(".")[0]
            held = {"past_key_values": "past", "cross_key_values": "source"}.get(kind)
            length = {"attention_mask": self.masked, "encoder_attention_mask": "source"}.get(name, "length")
            found[name] = {0: "batch", 1: length} if held is None else {0: "batch", 2: held}
        return found

    @property
    def masked(self) -> str:
        return "past + length" if any(name.startswith("past") for name in self.inputs) else "length"


class DecoderGraph(nn.Module):
    """(input_ids [B, S], attention_mask [B, P + S], then keys and values) -> logits [B, S, V], then all keys and values.

    An encoder-decoder has the source's keys and values, and `encoder_attention_mask` [B, K], after those.
    """

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        assert model.spec.main is not None
        self.depth, self.reads = model.spec.main.depth, model.spec.fork == "encoder-decoder"

    def forward(self, input_ids: Tensor, attention_mask: Tensor, *held: Tensor) -> tuple[Tensor, ...]:
        ours = [x.transpose(1, 2) for x in held[: 2 * self.depth * (2 if self.reads else 1)]]
        pairs = list(zip(ours[::2], ours[1::2], strict=True))
        cache = TracedCache(pairs[: self.depth], attention_mask, pairs[self.depth :], held[-1] if self.reads else None)
        new = Traced.of(input_ids, torch.ones_like(input_ids))
        out = self.model(None, decoder_input_ids=new, cache=cache) if self.reads else self.model(new, cache=cache)
        return out.logits, *(x.transpose(1, 2) for pair in cache.present for x in pair)


class SourceGraph(nn.Module):
    """(input_ids, attention_mask) [B, K] -> the source's keys and values for every layer of the decoder, [B, G, K, D]."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, ...]:
        body, read = self.model.body, Traced.of(input_ids, attention_mask)
        assert body.encoder is not None
        assert body.decoder is not None
        states = body.encoder(Pass(read, read))
        found: list[Tensor] = []
        for number in body.decoder.blocks:
            found += [x.transpose(1, 2) for x in body.decoder.layers[number].cross.source_heads(states)]  # type: ignore[union-attr,operator]
        return tuple(found)


def decoder_graph(model: Model) -> Graph:
    """Raises ModelError for a model whose pass depends on what it reads."""
    graph, spec = DecoderGraph(model).eval(), model.spec.main
    layers, attention = range(spec.depth), spec.attention
    if attention.latent is not None or any(p.by_length for p in _schemes(model)):
        raise ModelError(f"{model.folder} keeps or turns its keys in a way of its own, which no export follows: run it in torch")
    rows, past, new, source = 2, 3, 2, 4
    tokens = torch.arange(rows * new).view(rows, new)
    given = [tokens, torch.ones(rows, past + new, dtype=torch.long)]
    names = ["input_ids", "attention_mask"]
    kinds = ["past_key_values"] + (["cross_key_values"] if graph.reads else [])
    for kind, length in zip(kinds, (past, source), strict=False):
        for layer in layers:
            for part in ("key", "value"):
                size = attention.head_size if part == "key" else attention.value_size
                given.append(torch.zeros(rows, attention.num_kv_heads, length, size))
                names.append(f"{kind}.{layer}.{part}")
    if graph.reads:
        given.append(torch.ones(rows, source, dtype=torch.long))
        names.append("encoder_attention_mask")
    open_at = [{0: DYNAMIC, 2: DYNAMIC} if x.dim() == 4 else {0: DYNAMIC, 1: DYNAMIC} for x in given]
    program = traced(graph, tuple(given), (open_at[0], open_at[1], tuple(open_at[2:])), str(model.folder or "this model"))
    return Graph(program, tuple(names), ("logits", *(f"present.{i}.{part}" for i in layers for part in ("key", "value"))))


def source_graph(model: Model) -> Graph:
    """What an encoder-decoder's decoder reads of its source."""
    tokens = torch.arange(10).view(2, 5)
    open_at = {0: DYNAMIC, 1: DYNAMIC}
    program = traced(
        SourceGraph(model).eval(), (tokens, torch.ones_like(tokens)), (open_at, open_at), str(model.folder or "this model")
    )
    layers = range(model.spec.main.depth)
    names = tuple(f"cross_key_values.{i}.{part}" for i in layers for part in ("key", "value"))
    return Graph(program, ("input_ids", "attention_mask"), names)


def _schemes(model: Model) -> list[nn.Module]:
    return [p for stack in (model.body.encoder, model.body.decoder) if stack is not None for p in stack.positions]
