"""A decoder's weights laid out for `decoder.cpp`, and one pass of it.

Legend: M tokens, E hidden size, N outputs, K inputs, V vocabulary, H heads, G key/value heads, D head size.
"""

from __future__ import annotations

from ctypes import POINTER, Structure, byref, c_float, c_int64, c_void_p
from threading import Lock

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
from maskfork.models.native.layout import places_of
from maskfork.models.native.panels import BROAD, Kept, Matrix, filled
from maskfork.models.native.refused import ACTIVATIONS, Bits

WIDTH = 64  # what widths are multiples of
THREADS = 64  # at most


class _Norm(Structure):
    _fields_ = [("w", c_void_p), ("b", c_void_p)]


class _Layer(Structure):
    _fields_ = [("first", _Norm), ("qkv", Matrix), ("out", Matrix), ("second", _Norm), ("up", Matrix), ("down", Matrix)]


_COUNTS = ("bits", "depth", "vocab", "hidden", "heads", "groups", "head", "inner", "gated", "act", "rms", "turned", "paired")


class _Net(Structure):
    _fields_ = [
        *((name, c_int64) for name in _COUNTS),
        *((name, c_float) for name in ("eps", "scale", "entry_scale")),
        *((name, c_void_p) for name in ("words", "places", "cosines", "sines")),
        ("layers", POINTER(_Layer)), ("last", _Norm), ("logits", Matrix),
    ]  # fmt: skip


class _Pass(Structure):
    _fields_ = [
        *((name, c_int64) for name in ("tokens", "page", "per", "deep", "gap", "across", "wanted", "threads")),
        *((name, c_void_p) for name in ("ids", "row", "slot", "want", "table", "keys", "values", "out", "scratch")),
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
        self._library, self.bits, self._kept = library("decoder"), bits, Kept()
        body, head = model.body.decoder, model.head
        assert body is not None
        assert isinstance(head, LanguageModelHead)
        self.spec, self.vocab = model.spec.main, model.spec.vocab_size
        attention = self.spec.attention
        words, places = model.body.tokens.weight.detach().float(), places_of(body, self.spec.hidden_size)
        rotary = next((p for p in body.positions if isinstance(p, RotaryPositions)), None)
        self._rotary, self._waves = rotary, 0
        self._layers = (_Layer * self.spec.depth)(*(self._layer(block) for block in body.layers))  # type: ignore[arg-type]
        with torch.no_grad():
            table = (words if head.weight is None else head.weight.detach().float()) * head.scale
        self._net = _Net(
            bits=bits, depth=self.spec.depth, vocab=len(words), hidden=self.spec.hidden_size, heads=attention.num_heads,
            groups=attention.num_kv_heads, head=attention.head_size, inner=self.spec.dense.size,
            gated=int(self.spec.dense.gated), act=ACTIVATIONS[self.spec.dense.activation], rms=int(self.spec.norm.kind == "rms"),
            turned=0 if rotary is None else rotary.size, paired=int(rotary is not None and rotary.spec.interleaved),
            eps=self.spec.norm.eps, scale=attention.head_size**-0.5 if attention.scale is None else attention.scale,
            words=self._kept.pointer(words), places=self._kept.pointer(places), entry_scale=self.spec.embed.scale,
            layers=self._layers, last=self._norm(body.norm),
            logits=self._matrix(filled(table, 0), None if head.bias is None else filled(head.bias, 0)),
        )  # fmt: skip
        self._scratch, self._one = torch.empty(0, dtype=torch.uint8), Lock()

    def storage(self, pages: int, page: int) -> Tensor:
        """Keys and values in pages of so many tokens, [2, L, pages, G, page, D]; a text may have one of its own.

        Pages of one token lie so that a head's numbers of neighbours are side by side.
        """
        attention = self.spec.attention
        kind = torch.float32 if self.bits == 32 else torch.bfloat16
        first, second = (attention.num_kv_heads, pages) if page == 1 else (pages, attention.num_kv_heads)
        made = torch.empty(2, self.spec.depth, first, second, page, attention.head_size, dtype=kind)
        return made.transpose(2, 3) if page == 1 else made

    def decode(
        self, tokens_M: Tensor, row_M: Tensor, slot_M: Tensor, want: Tensor, stored: Tensor, table: Tensor | None = None
    ) -> Tensor:
        """Scores [len(want), V] float32 after the `want`ed of M tokens, which are named in order. All numbers int64.

        Token m goes to place `slot_M[m]` of text `row_M[m]` and reads the places up to it; a text's tokens come in order.
        `table` [texts, pages of a text] numbers each text's pages of `stored`; without it text i has the i-th alone. Texts may
        share pages that nobody writes to. Threads take turns.
        """
        if table is None:
            table = torch.arange(stored.shape[2])[:, None]
        out = torch.empty(len(want), self._net.logits.n)
        ints = [numbers.contiguous() for numbers in (tokens_M, row_M, slot_M, want, table)]
        threads = min(torch.get_num_threads(), THREADS)
        counts = (len(tokens_M), stored.shape[4], table.shape[1], *stored.stride()[1:4], len(want), threads)
        run = _Pass(*counts, *(numbers.data_ptr() for numbers in (*ints, *stored, out)))
        with self._one:
            self._turn(table.shape[1] * stored.shape[4])
            size = self._library.scratch_size(byref(self._net), byref(run))
            if self._scratch.numel() < size:
                self._scratch = torch.empty(size, dtype=torch.uint8)
            run.scratch = self._scratch.data_ptr()
            wrong = self._library.decode(byref(self._net), byref(run))
        if wrong >= 0:
            raise UsageError(f"{int(tokens_M[wrong])} is no token of this model, which has {self._net.vocab}: give ids from 0 on")
        return out[:, : self.vocab]

    def _turn(self, room: int) -> None:
        """Cosines and sines [places, turned / 2] of all places that there may be."""
        if self._rotary is None or room <= self._waves:
            return
        self._waves = max(room, 2 * self._waves)
        angle = torch.arange(self._waves)[:, None].float() * self._rotary.frequencies(torch.device("cpu"), 0)
        waves = (wave * self._rotary.scaling.attention for wave in (angle.cos(), angle.sin()))
        self._net.cosines, self._net.sines = (self._kept.pointer(wave) for wave in waves)

    def _layer(self, block: Block) -> _Layer:
        attention, feed = block.attention, block.feed_forward
        assert isinstance(attention.qkv, Fused)
        assert isinstance(feed, FeedForward)
        gates, heads = 1 + feed.gated, (self.spec.attention.num_kv_heads, self.spec.attention.head_size)
        return _Layer(
            self._norm(block.attention_residual.norm_in),
            self._matrix(*(_by_group(x, *heads) for x in (attention.qkv.weight, attention.qkv.biases()))),
            self._matrix(attention.out.weight, attention.out.bias),
            self._norm(block.feed_forward_residual.norm_in),
            self._matrix(*(_in_turn(x, gates) for x in (feed.up.weight, feed.up.bias))),
            self._matrix(feed.down.weight, feed.down.bias),
        )

    def _matrix(self, weight: Tensor | None, bias: Tensor | None) -> Matrix:
        assert weight is not None
        return self._kept.matrix(weight.detach().float(), None if bias is None else bias.detach().float(), self.bits)

    def _norm(self, norm: nn.Module) -> _Norm:
        weight, bias = norm.weight.detach().float(), getattr(norm, "bias", None)  # type: ignore[operator]
        weight = weight + 1.0 if isinstance(norm, OffsetRMSNorm) else weight
        return _Norm(self._kept.pointer(weight), None if bias is None else self._kept.pointer(bias.detach().float()))


def _by_group(x: Tensor | None, groups: int, head: int) -> Tensor | None:
    """Rows of all queries, keys and values [(H + 2G) D, ...] by key/value head: its queries, its key, its value."""
    if x is None:
        return None
    q, k, v = torch.split(x, [x.shape[0] - 2 * groups * head, groups * head, groups * head])
    return torch.cat([part.reshape(groups, -1, *x.shape[1:]) for part in (q, k, v)], 1).flatten(0, 1)


def _in_turn(x: Tensor | None, gates: int) -> Tensor | None:
    """Rows of a gate and of what it is multiplied with [2F, ...], 32 of the one, 32 of the other."""
    return None if x is None else x.reshape(gates, -1, BROAD, *x.shape[1:]).transpose(0, 1).flatten(0, 2)
