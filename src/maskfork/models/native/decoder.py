"""A decoder's weights laid out for `decoder.cpp`, and one pass of it.

Legend: M tokens, E hidden size, N outputs, K inputs, V vocabulary, H heads, G key/value heads, D head size.
"""

from __future__ import annotations

from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from typing import Literal

import torch
from torch import Tensor, nn

from maskfork.core.fused import Fused
from maskfork.core.linear import Linear
from maskfork.core.mask import Causal
from maskfork.core.parts import FeedForward, OffsetRMSNorm
from maskfork.core.positions.learned import LearnedPositions
from maskfork.core.positions.rotary import RotaryPositions
from maskfork.core.transformer import Block
from maskfork.errors import UsageError
from maskfork.models.heads.language import LanguageModelHead
from maskfork.models.model import Model
from maskfork.models.native.build import library

Bits = Literal[32, 16, 8]
ACTIVATIONS = {"gelu_new": 0, "gelu_pytorch_tanh": 0, "gelu_fast": 0, "silu": 1, "swish": 1, "relu": 2, "gelu": 3}
WIDTH = 64  # what widths are multiples of
PIECE = 64  # tokens of a pass


class _Matrix(Structure):
    _fields_ = [(name, c_void_p) for name in ("w", "scale", "sums", "bias")] + [("n", c_int64), ("k", c_int64)]


class _Norm(Structure):
    _fields_ = [("w", c_void_p), ("b", c_void_p)]


class _Layer(Structure):
    _fields_ = [("first", _Norm), ("qkv", _Matrix), ("out", _Matrix), ("second", _Norm), ("up", _Matrix), ("down", _Matrix)]


_COUNTS = ("bits", "depth", "hidden", "heads", "groups", "head", "inner", "gated", "act", "rms", "turned", "paired")


class _Net(Structure):
    _fields_ = [
        *((name, c_int64) for name in _COUNTS),
        ("eps", c_float), ("scale", c_float), ("cosines", c_void_p), ("sines", c_void_p),
        ("layers", POINTER(_Layer)), ("last", _Norm), ("logits", _Matrix),
    ]  # fmt: skip


_POINTERS = ("row", "slot", "place", "want", "keys", "values", "out", "scratch")


class _Pass(Structure):
    _fields_ = [
        *((name, c_int64) for name in ("tokens", "rows", "room", "wanted", "threads")),
        ("x", c_void_p), *((name, c_void_p) for name in _POINTERS),
    ]  # fmt: skip


def refusal(model: Model) -> str | None:
    """Why this model has no native pass: a clause, or None where it has one."""
    spec = model.spec
    if spec.fork != "decoder" or model.body.decoder is None:
        return f"{spec.family} is no decoder"
    stack = spec.main
    attention, feed = stack.attention, stack.feed_forward
    head, kinds = spec.head, (type(p) for p in model.body.decoder.positions)
    widths = (stack.hidden_size, attention.num_heads * attention.head_size, getattr(feed, "size", 0))
    reasons = {
        "it has an adapter": model.adapters is not None,
        "its layers are not alike": bool(stack.layers) or len(set(stack.blocks)) != stack.depth,
        "it is not a plain causal stack": any(rule != Causal() for rule in stack.masks) or stack.conv is not None,
        "its norms are not before the sublayers": stack.norm_at != ("in",) or stack.parallel is not None,
        "it has no last norm": not stack.final_norm,
        "its attention is of another kind": bool(attention.latent or attention.softcap or attention.qk_norm or attention.marked)
        or attention.qkv_bias == "query_value",
        "it has experts": not hasattr(feed, "activation"),
        "its activation is not among them": getattr(feed, "activation", "") not in ACTIVATIONS,
        "its positions are of another kind": any(kind not in (LearnedPositions, RotaryPositions) for kind in kinds),
        "its angles change as a text grows": any(getattr(p, "by_length", False) for p in model.body.decoder.positions),
        "its embeddings are of another kind": stack.embed.types > 0 or stack.embed.norm is not None or stack.embed.project
        or stack.embed.size not in (None, stack.hidden_size) or stack.embed.query_vector,
        "its head is of another kind": head is None or bool(head.transform or head.norm or head.softcap),
        f"its widths are no multiples of {WIDTH}": any(width % WIDTH for width in widths) or attention.head_size % 16 != 0,
        "it is held in fewer bits already": any(isinstance(m, Linear) and m.packed is not None for m in model.modules()),
        "it is not on the CPU": model.device.type != "cpu",
    }  # fmt: skip
    return next((reason for reason, true in reasons.items() if true), None)


class NativeDecoder:
    """Weights in 32 bits (as they are), in 16 (bfloat16) or in 8 (a scale a row; a token's numbers are rounded to 255 levels).

    Sums are in float32. Raises UsageError where `refusal` has a reason, and where there is no compiler.
    """

    def __init__(self, model: Model, bits: Bits) -> None:
        if bits not in (32, 16, 8):
            raise UsageError(f"quick decoding has 32, 16 or 8 bits, not {bits}")
        if (reason := refusal(model)) is not None:
            raise UsageError(f"this model has no quick decoding because {reason}: leave bits out")
        self._library, self.bits, self._alive = library("decoder"), bits, list[Tensor]()
        body, head = model.body.decoder, model.head
        assert body is not None
        assert isinstance(head, LanguageModelHead)
        self.spec, self.vocab = model.spec.main, model.spec.vocab_size
        attention = self.spec.attention
        self._table, self._embed_scale = model.body.tokens.weight, self.spec.embed.scale
        self._places = [p for p in body.positions if isinstance(p, LearnedPositions)]
        rotary = next((p for p in body.positions if isinstance(p, RotaryPositions)), None)
        self._rotary, self._waves = rotary, 0
        self._layers = (_Layer * self.spec.depth)(*(self._layer(block) for block in body.layers))  # type: ignore[arg-type]
        with torch.no_grad():
            table = (self._table if head.weight is None else head.weight).detach().float() * head.scale
        self._net = _Net(
            bits=bits, depth=self.spec.depth, hidden=self.spec.hidden_size, heads=attention.num_heads,
            groups=attention.num_kv_heads, head=attention.head_size, inner=self.spec.dense.size,
            gated=int(self.spec.dense.gated), act=ACTIVATIONS[self.spec.dense.activation], rms=int(self.spec.norm.kind == "rms"),
            turned=0 if rotary is None else rotary.size, paired=int(rotary is not None and rotary.spec.interleaved),
            eps=self.spec.norm.eps, scale=attention.head_size**-0.5 if attention.scale is None else attention.scale,
            layers=self._layers, last=self._norm(body.norm), logits=self._matrix(table, head.bias),
        )  # fmt: skip
        self._scratch = torch.empty(0)

    def storage(self, rows: int, room: int) -> Tensor:
        """Keys and values for texts of at most `room` tokens, [2, L, rows, G, room, D]."""
        attention = self.spec.attention
        kind = torch.float32 if self.bits == 32 else torch.bfloat16
        return torch.zeros(2, self.spec.depth, rows, attention.num_kv_heads, room, attention.head_size, dtype=kind)

    def decode(self, tokens_M: Tensor, row_M: Tensor, slot_M: Tensor, want: Tensor, stored: Tensor) -> Tensor:
        """Scores [len(want), V] float32 after the `want`ed of M tokens.

        Token m goes to place `slot_M[m]` of text `row_M[m]` and reads the places up to it; a text's tokens come in order.
        """
        self._turn(stored.shape[4])
        out = torch.empty(len(want), -(-self.vocab // WIDTH) * WIDTH)
        done = 0
        for start in range(0, len(tokens_M), PIECE):
            part = slice(start, start + PIECE)
            here = want[(want >= start) & (want < start + PIECE)] - start
            self._pass(tokens_M[part], row_M[part], slot_M[part], here, stored, out[done : done + len(here)])
            done += len(here)
        return out[:, : self.vocab]

    def _pass(self, tokens: Tensor, row: Tensor, slot: Tensor, want: Tensor, stored: Tensor, out: Tensor) -> None:
        x = torch.nn.functional.embedding(tokens, self._table).float() * self._embed_scale
        for scheme in self._places:
            x = scheme.embed(x, slot)
        count, room = len(tokens), stored.shape[4]
        threads = torch.get_num_threads()
        size = self._library.scratch_size(byref(self._net), c_int64(count), c_int64(room), c_int64(threads))
        if self._scratch.numel() < size:
            self._scratch = torch.empty(size)
        x = x.contiguous()
        ints = [numbers.to(torch.int32).contiguous() for numbers in (row, slot, slot, want)]
        run = _Pass(count, stored.shape[2], room, len(want), threads, x.data_ptr(), *(numbers.data_ptr() for numbers in ints),
                    stored[0].data_ptr(), stored[1].data_ptr(), out.data_ptr(), self._scratch.data_ptr())  # fmt: skip
        self._library.decode(byref(self._net), byref(run))

    def _turn(self, room: int) -> None:
        """Cosines and sines [room, turned / 2] of all places that there may be."""
        if self._rotary is None or room <= self._waves:
            return
        angle = torch.arange(room)[:, None].float() * self._rotary.frequencies(torch.device("cpu"), 0)
        waves = [(wave * self._rotary.scaling.attention).contiguous() for wave in (angle.cos(), angle.sin())]
        self._net.cosines, self._net.sines = (self._pointer(wave) for wave in waves)
        self._waves = room

    def _layer(self, block: Block) -> _Layer:
        attention, feed = block.attention, block.feed_forward
        assert isinstance(attention.qkv, Fused)
        assert isinstance(feed, FeedForward)
        return _Layer(
            self._norm(block.attention_residual.norm_in), self._linear(attention.qkv), self._linear(attention.out),
            self._norm(block.feed_forward_residual.norm_in), self._linear(feed.up), self._linear(feed.down),
        )  # fmt: skip

    def _linear(self, linear: Linear) -> _Matrix:
        return self._matrix(linear.weight.detach().float(), linear.biases())

    def _matrix(self, weight: Tensor, bias: Tensor | None) -> _Matrix:
        made = _Matrix(n=weight.shape[0], k=weight.shape[1])
        if bias is not None:
            made.bias = self._pointer(bias.detach().float().contiguous())
        if self.bits == 8:
            scale = weight.abs().amax(1).clamp_min(1e-12) / 127
            codes = (weight / scale[:, None]).round().to(torch.int8).contiguous()
            made.w, made.scale = self._pointer(codes), self._pointer(scale)
            made.sums = self._pointer(codes.sum(1, dtype=torch.int32))
        else:
            made.w = self._pointer(weight.to(torch.float32 if self.bits == 32 else torch.bfloat16).contiguous())
        return made

    def _norm(self, norm: nn.Module) -> _Norm:
        weight, bias = norm.weight.detach().float(), getattr(norm, "bias", None)  # type: ignore[operator]
        weight = weight + 1.0 if isinstance(norm, OffsetRMSNorm) else weight
        return _Norm(self._pointer(weight.contiguous()), None if bias is None else self._pointer(bias.detach().float()))

    def _pointer(self, held: Tensor) -> int:
        """Where a tensor lies, which lives as long as this object."""
        self._alive.append(held)
        return held.data_ptr()
