"""An encoder's weights as `struct Net` of encoder.cpp: each head, and each half of a gate, filled up with zeros by itself.

Legend: E hidden size, H heads, D head size, F inner size.
"""

from __future__ import annotations

from ctypes import POINTER, Structure, c_float, c_int64, c_void_p

import torch
from torch import Tensor, nn

from maskfork.core.fused import Fused
from maskfork.core.linear import Linear
from maskfork.core.mask import Window
from maskfork.core.parts import FeedForward, OffsetRMSNorm
from maskfork.core.positions.learned import LearnedPositions
from maskfork.core.positions.rotary import RotaryPositions
from maskfork.core.transformer import Block, Stack
from maskfork.models.heads.sequence import ClassifyHead
from maskfork.models.model import Model
from maskfork.models.native.panels import BROAD, Kept, Matrix, filled
from maskfork.models.native.refused import ACTIVATIONS, HEAD_ACTIVATIONS, Bits


class _Norm(Structure):
    _fields_ = [("w", c_void_p), ("b", c_void_p)]


class _Layer(Structure):
    _fields_ = [
        ("before", _Norm), ("qkv", Matrix), ("out", Matrix), ("between", _Norm), ("up", Matrix), ("down", Matrix),
        ("behind", _Norm), ("window", c_int64), ("cosines", c_void_p), ("sines", c_void_p),
    ]  # fmt: skip


_COUNTS = (
    "bits", "depth", "hidden", "width", "entry_hidden", "entry_width", "heads", "head", "turned", "paired", "inner", "gated",
    "act", "after", "rms",
)  # fmt: skip


class _Head(Structure):
    _fields_ = [("dense", Matrix), ("out", Matrix), ("norm", _Norm), ("eps", c_float), ("act", c_int64), ("rms", c_int64)]


class Net(Structure):
    """The whole network."""

    _fields_ = [
        *((name, c_int64) for name in _COUNTS),
        *((name, c_float) for name in ("eps", "scale", "entry_eps", "entry_scale")),
        *((name, c_void_p) for name in ("tokens", "places", "types")),
        ("entry", _Norm), ("project", Matrix), ("layers", POINTER(_Layer)), ("last", _Norm),
        ("judge", _Head),
    ]  # fmt: skip


class Layout:
    """`net` points into tensors that live as long as this object."""

    def __init__(self, stack: Stack, bits: Bits, judge: Model | None = None) -> None:
        """With the head of `judge`, where it is given."""
        self.spec, self.bits, self._kept = stack.spec, bits, Kept()
        spec, attention, feed = self.spec, self.spec.attention, self.spec.dense
        self._rotary = [p if isinstance(p, RotaryPositions) else None for p in stack.positions]
        self._turned, self._waves = next((p for p in self._rotary if p is not None), None), 0
        made = [self._layer(block) for block in stack.layers]  # type: ignore[arg-type]
        self._layers = (_Layer * spec.depth)(*(made[number] for number in stack.blocks))
        for layer, rule in zip(self._layers, spec.masks, strict=True):
            layer.window = rule.before if isinstance(rule, Window) else -1
        self.net = Net(
            bits=bits, depth=spec.depth, hidden=spec.hidden_size, width=-(-spec.hidden_size // BROAD) * BROAD,
            heads=attention.num_heads, head=-(-attention.head_size // BROAD) * BROAD,
            turned=0 if self._turned is None else self._turned.size,
            paired=int(self._turned is not None and self._turned.spec.interleaved), inner=-(-feed.size // BROAD) * BROAD,
            gated=int(feed.gated), act=ACTIVATIONS[feed.activation], after=int("sum" in spec.norm_at),
            rms=int(spec.norm.kind == "rms"), eps=spec.norm.eps, layers=self._layers, last=self._norm(stack.norm),
            scale=attention.head_size**-0.5 if attention.scale is None else attention.scale,
        )  # fmt: skip
        self._embedding(stack)
        if judge is not None:
            self.net.judge = self._head(judge)

    def turn(self, longest: int) -> None:
        """Cosines and sines [places, turned / 2] of each layer's angles, for texts of at most `longest` tokens."""
        if self._turned is None or longest <= self._waves:
            return
        self._waves, tables = max(longest, 2 * self._waves), dict[int, list[int | None]]()
        for index, scheme in enumerate(self._rotary):
            if scheme is not None:
                angle = torch.arange(self._waves)[:, None].float() * scheme.frequencies(torch.device("cpu"), 0)
                tables[index] = [self._kept.pointer(wave * scheme.scaling.attention) for wave in (angle.cos(), angle.sin())]
        for i, layer in enumerate(self._layers):
            chosen = self.spec.layer(i).positions
            layer.cosines, layer.sines = next(tables[at] for at in tables if chosen is None or at in chosen)

    def _embedding(self, stack: Stack) -> None:
        """The tables that a token's vector is summed from, and what makes it as wide as the stack."""
        embed, net = stack.embed, self.net
        net.entry_hidden = embed.tokens.weight.shape[1]
        net.entry_width = -(-net.entry_hidden // BROAD) * BROAD
        if isinstance(embed.project, Linear):
            net.project = self._matrix(embed.project.weight, embed.project.bias, 32)
        net.tokens = self._kept.pointer(filled(embed.tokens.weight, 1))
        net.types = None if embed.types is None else self._kept.pointer(filled(embed.types.weight, 1))
        net.entry_scale, net.entry, net.entry_eps = embed.scale, self._norm(embed.norm), getattr(embed.norm, "eps", 0.0)
        places = places_of(stack, net.entry_hidden)
        net.places = None if places is None else self._kept.pointer(filled(places, 1))

    def _layer(self, block: Block) -> _Layer:
        attention, feed, spec = block.attention, block.feed_forward, self.spec.attention
        assert isinstance(attention.qkv, Fused)
        assert isinstance(feed, FeedForward)
        first, second = block.attention_residual, block.feed_forward_residual
        heads, gates, wide = (spec.num_heads, spec.head_size), 1 + feed.gated, self.spec.hidden_size
        qkv, qkv_bias, up = attention.qkv.weight, attention.qkv.biases(), feed.up.weight
        return _Layer(
            self._norm(first.norm_in),
            self._matrix(
                filled(qkv.reshape(3, *heads, wide), 2).flatten(0, 2),
                None if qkv_bias is None else filled(qkv_bias.reshape(3, *heads), 2).flatten(),
            ),
            self._matrix(filled(attention.out.weight.reshape(wide, *heads), 2).flatten(1), attention.out.bias),
            self._norm(first.norm_sum if "sum" in self.spec.norm_at else second.norm_in),
            self._matrix(
                filled(up.reshape(gates, -1, wide), 1).flatten(0, 1),
                None if feed.up.bias is None else filled(feed.up.bias.reshape(gates, -1), 1).flatten(),
            ),
            self._matrix(feed.down.weight, feed.down.bias),
            self._norm(second.norm_sum),
        )

    def _head(self, model: Model) -> _Head:
        """In float32: it is small, and its numbers are the answer."""
        head, spec = model.head, model.spec.head
        assert isinstance(head, ClassifyHead)
        assert spec is not None
        pooler, made = head.pooler, _Head(out=self._matrix(head.out.weight, head.out.bias, 32))
        if isinstance(pooler.dense, Linear):
            made.dense = self._matrix(pooler.dense.weight, pooler.dense.bias, 32)
            made.act, made.norm = HEAD_ACTIVATIONS[str(spec.dense)], self._norm(pooler.norm)
            made.eps, made.rms = getattr(pooler.norm, "eps", 0.0), int(not isinstance(pooler.norm, nn.LayerNorm))
        return made

    def _matrix(self, weight: Tensor, bias: Tensor | None, bits: Bits | None = None) -> Matrix:
        return self._kept.matrix(filled(filled(weight, 1), 0), None if bias is None else filled(bias, 0), bits or self.bits)

    def _norm(self, norm: nn.Module) -> _Norm:
        if isinstance(norm, nn.Identity):
            return _Norm()
        weight, bias = norm.weight.detach().float(), getattr(norm, "bias", None)  # type: ignore[operator]
        weight = weight + 1.0 if isinstance(norm, OffsetRMSNorm) else weight
        return _Norm(self._kept.pointer(filled(weight, 0)), None if bias is None else self._kept.pointer(filled(bias, 0)))


def places_of(stack: Stack, width: int) -> Tensor | None:
    """What a token's vector gets for its place [places, width]; None where places are not told so."""
    schemes = [p for p in stack.positions if isinstance(p, LearnedPositions)]
    if not schemes:
        return None
    limit = min(p.table.num_embeddings - p.offset for p in schemes)
    x = torch.zeros(1, limit, width)
    for scheme in schemes:
        x = scheme.embed(x, torch.arange(limit)[None])
    return x[0]
