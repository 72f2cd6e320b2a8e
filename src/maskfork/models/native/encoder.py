"""An encoder's weights laid out for `encoder.cpp`, and one pass of it over texts without padding.

Legend: N texts, M tokens of all texts, E hidden size, H heads, D head size, F inner size.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.fused import Fused
from maskfork.core.linear import Linear
from maskfork.core.mask import Window
from maskfork.core.parts import FeedForward, OffsetRMSNorm
from maskfork.core.positions.learned import LearnedPositions
from maskfork.core.positions.rotary import RotaryPositions
from maskfork.core.transformer import Block
from maskfork.errors import UsageError
from maskfork.models.cores import usable_cores
from maskfork.models.model import Model
from maskfork.models.native.build import library
from maskfork.models.native.panels import BROAD, Kept, Matrix, filled
from maskfork.models.native.refused import ACTIVATIONS, Bits, encoder_refusal

PIECE = 192  # tokens that one thread carries through all layers: what they need fits into its cache
BLOCK = 48  # rows between one multiplication and the next

Want = Literal["all", "first"]


class _Norm(Structure):
    _fields_ = [("w", c_void_p), ("b", c_void_p)]


class _Layer(Structure):
    _fields_ = [
        ("before", _Norm), ("qkv", Matrix), ("out", Matrix), ("between", _Norm), ("up", Matrix), ("down", Matrix),
        ("behind", _Norm), ("window", c_int64), ("cosines", c_void_p), ("sines", c_void_p),
    ]  # fmt: skip


_COUNTS = ("bits", "depth", "hidden", "width", "heads", "head", "turned", "paired", "inner", "gated", "act", "after", "rms")


class _Net(Structure):
    _fields_ = [
        *((name, c_int64) for name in _COUNTS),
        *((name, c_float) for name in ("eps", "scale", "entry_eps", "entry_scale")),
        *((name, c_void_p) for name in ("tokens", "places", "types")),
        ("entry", _Norm), ("layers", POINTER(_Layer)), ("last", _Norm),
    ]  # fmt: skip


_SIZES = ("pieces", "firsts", "threads", "tokens", "texts", "longest", "block")


class _Pass(Structure):
    _fields_ = [
        *((name, c_int64) for name in _SIZES),
        *((name, c_void_p) for name in ("ids", "types", "starts", "bounds", "entered", "out", "scratch")),
    ]  # fmt: skip


class NativeEncoder:
    """Weights in 32 bits (as they are), in 16 (bfloat16) or in 8 (a scale an output; a token's numbers in 255 levels of its own).

    Sums are in float32, attention in bfloat16 below 32 bits. `threads`: None for the cores that may be used. One thread at a
    time may ask. Raises UsageError where `encoder_refusal` has a reason, and where there is no compiler.
    """

    def __init__(self, model: Model, bits: Bits = 8, threads: int | None = None) -> None:
        if bits not in (32, 16, 8):
            raise UsageError(f"the quick pass of an encoder has 32, 16 or 8 bits, not {bits}")
        if (reason := encoder_refusal(model)) is not None:
            raise UsageError(f"this model has no quick pass because {reason}: take another runtime")
        self._library, self.bits, self._kept = library("encoder"), bits, Kept()
        self.threads = min(threads or usable_cores(), 64)
        body = model.body.encoder
        assert body is not None
        self.model, self.spec, self._body = model, body.spec, body
        spec, attention, feed = self.spec, self.spec.attention, self.spec.dense
        self._rotary = [p if isinstance(p, RotaryPositions) else None for p in body.positions]
        self._turned = next((p for p in self._rotary if p is not None), None)
        self._layers = (_Layer * spec.depth)(*(self._layer(body.layers[b]) for b in body.blocks))  # type: ignore[arg-type]
        for layer, rule in zip(self._layers, spec.masks, strict=True):
            layer.window = rule.before if isinstance(rule, Window) else -1
        self._waves = 0
        self.width = -(-spec.hidden_size // BROAD) * BROAD
        self._net = _Net(
            bits=bits, depth=spec.depth, hidden=spec.hidden_size, width=self.width, heads=attention.num_heads,
            head=-(-attention.head_size // BROAD) * BROAD, turned=0 if self._turned is None else self._turned.size,
            paired=int(self._turned is not None and self._turned.spec.interleaved), inner=-(-feed.size // BROAD) * BROAD,
            gated=int(feed.gated), act=ACTIVATIONS[feed.activation], after=int("sum" in spec.norm_at),
            rms=int(spec.norm.kind == "rms"), eps=spec.norm.eps, layers=self._layers, last=self._norm(body.norm),
            scale=attention.head_size**-0.5 if attention.scale is None else attention.scale,
        )  # fmt: skip
        self._embedding()
        self._scratch = torch.empty(0, dtype=torch.uint8)

    def run(
        self, ids: Sequence[Sequence[int]], types: Sequence[Sequence[int]] | None = None, want: Want = "all"
    ) -> npt.NDArray[np.float32]:
        """The last hidden states [M, E] of texts that lie one behind another, or [N, E] of their first tokens.

        A text has at least one token. Raises TokenizerError for a token that the model does not know, ModelError for a text
        that is too long.
        """
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        starts = np.zeros(len(ids) + 1, np.int32)
        np.cumsum(lengths, out=starts[1:])
        total, longest = int(starts[-1]), int(lengths.max(initial=0))
        out = np.empty((len(ids) if want == "first" else total, self.width), np.float32)
        if not total:
            return out[:, : self.spec.hidden_size]
        tokens = _joined(ids, total)
        kinds = None if types is None or not self.spec.embed.types else _joined(types, total)
        batch = self._batch(tokens, lengths, kinds)
        entered = None if self._net.tokens else filled(self._body.embed(batch, list(self._body.positions))[0], 1)
        self._turn(longest)
        bounds = _pieces(starts, self.threads)
        run = _Pass(
            pieces=len(bounds) - 1, firsts=int(want == "first"), threads=self.threads, block=BLOCK, longest=longest,
            tokens=int(np.diff(starts[bounds]).max()), texts=int(np.diff(bounds).max()), ids=tokens.ctypes.data,
            types=None if kinds is None else kinds.ctypes.data, starts=starts.ctypes.data, bounds=bounds.ctypes.data,
            entered=None if entered is None else entered.data_ptr(), out=out.ctypes.data,
        )  # fmt: skip
        size = self._library.scratch_size(byref(self._net), byref(run)) + 64
        if self._scratch.numel() < size:
            self._scratch = torch.empty(size, dtype=torch.uint8)
        run.scratch = -(-self._scratch.data_ptr() // 64) * 64
        self._library.encode(byref(self._net), byref(run))
        return out[:, : self.spec.hidden_size]

    def _batch(self, tokens: npt.NDArray[np.int32], lengths: npt.NDArray[np.int64], kinds: npt.NDArray[np.int32] | None) -> Batch:
        """The same texts as a batch, checked as the model checks them."""
        places = np.arange(len(tokens)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        of = None if kinds is None else torch.from_numpy(kinds)[None]
        batch = Batch(torch.from_numpy(tokens)[None], torch.from_numpy(places)[None], types=of)
        self.model._check_tokens(batch, self.model.spec.vocab_size)
        self._body._check(batch)
        return batch

    def _embedding(self) -> None:
        """The tables that a token's vector is summed from; none where it is projected, which the model then does itself."""
        embed, net = self._body.embed, self._net
        if isinstance(embed.project, Linear):
            return
        net.tokens = self._kept.pointer(filled(embed.tokens.weight, 1))
        net.types = None if embed.types is None else self._kept.pointer(filled(embed.types.weight, 1))
        net.entry_scale, net.entry, net.entry_eps = embed.scale, self._norm(embed.norm), getattr(embed.norm, "eps", 0.0)
        schemes = [p for p in self._body.positions if isinstance(p, LearnedPositions)]
        if schemes:
            limit = min(p.table.num_embeddings - p.offset for p in schemes)
            x = torch.zeros(1, limit, self.spec.hidden_size)
            for scheme in schemes:
                x = scheme.embed(x, torch.arange(limit)[None])
            net.places = self._kept.pointer(filled(x[0], 1))

    def _turn(self, longest: int) -> None:
        """Cosines and sines [places, turned / 2] of each layer's angles, for texts of at most `longest` tokens."""
        if self._turned is None or longest <= self._waves:
            return
        self._waves, tables = max(longest, 2 * self._waves), {}
        for index, scheme in enumerate(self._rotary):
            if scheme is not None:
                angle = torch.arange(self._waves)[:, None].float() * scheme.frequencies(torch.device("cpu"), 0)
                tables[index] = [self._kept.pointer(wave * scheme.scaling.attention) for wave in (angle.cos(), angle.sin())]
        for i, layer in enumerate(self._layers):
            chosen = self.spec.layer(i).positions
            served = [index for index in tables if chosen is None or index in chosen]
            layer.cosines, layer.sines = tables[served[0]]

    def _layer(self, block: Block) -> _Layer:
        attention, feed, spec = block.attention, block.feed_forward, self.spec.attention
        assert isinstance(attention.qkv, Fused)
        assert isinstance(feed, FeedForward)
        first, second = block.attention_residual, block.feed_forward_residual
        behind = "sum" in self.spec.norm_at
        heads, gates, wide = (spec.num_heads, spec.head_size), 1 + feed.gated, self.spec.hidden_size
        qkv, qkv_bias, up = attention.qkv.weight, attention.qkv.biases(), feed.up.weight
        # each head, and each half of a gate, is filled up by itself
        return _Layer(
            self._norm(first.norm_in),
            self._matrix(
                filled(qkv.reshape(3, *heads, wide), 2).flatten(0, 2),
                None if qkv_bias is None else filled(qkv_bias.reshape(3, *heads), 2).flatten(),
            ),
            self._matrix(filled(attention.out.weight.reshape(wide, *heads), 2).flatten(1), attention.out.bias),
            self._norm(first.norm_sum if behind else second.norm_in),
            self._matrix(
                filled(up.reshape(gates, -1, wide), 1).flatten(0, 1),
                None if feed.up.bias is None else filled(feed.up.bias.reshape(gates, -1), 1).flatten(),
            ),
            self._matrix(feed.down.weight, feed.down.bias),
            self._norm(second.norm_sum),
        )

    def _matrix(self, weight: Tensor, bias: Tensor | None) -> Matrix:
        return self._kept.matrix(filled(filled(weight, 1), 0), None if bias is None else filled(bias, 0), self.bits)

    def _norm(self, norm: nn.Module) -> _Norm:
        if isinstance(norm, nn.Identity):
            return _Norm()
        weight, bias = norm.weight.detach().float(), getattr(norm, "bias", None)  # type: ignore[operator]
        weight = weight + 1.0 if isinstance(norm, OffsetRMSNorm) else weight
        return _Norm(self._kept.pointer(filled(weight, 0)), None if bias is None else self._kept.pointer(filled(bias, 0)))


def _joined(ids: Sequence[Sequence[int]], total: int) -> npt.NDArray[np.int32]:
    return np.fromiter((token for one in ids for token in one), np.int32, total)


def _pieces(starts: npt.NDArray[np.int32], threads: int) -> npt.NDArray[np.int32]:
    """Where pieces of about as many tokens begin, in texts, and the end of the last; one piece is shared by all threads."""
    texts, total = len(starts) - 1, int(starts[-1])
    count = 1 if threads == 1 and total <= PIECE else -(-total // PIECE)
    if total <= PIECE * threads or texts < 2:
        count = 1
    wished = np.arange(1, count) * (total / count)
    inner = np.searchsorted(starts, wished)
    return np.unique(np.concatenate([[0], inner, [texts]])).astype(np.int32)
