"""The one Transformer: Embed, Attention, Block, Stack, Transformer. What differs between BERT, GPT and T5 is in the spec.

    tokens ─ Embed ─┬────────────────────────────┬─ Block x depth ─ norm ─> last hidden state
                    │  Attention(mask)           │
                    │  [cross Attention(source)] │
                    │  FeedForward               │
    each sublayer:  x ─ norm_in ─ f ─ norm_out ─ drop ─ (+ x) ─ norm_sum

Legend: B batch, S sequence, Q queries, K keys, H heads, G key/value heads, D head size, E hidden size.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.cache import Cache
from maskfork.core.kernels.choose import choose
from maskfork.core.kernels.contract import Ask, Plan, Refusal
from maskfork.core.mask import Full, Mask
from maskfork.core.parts import Convolution, Dropout, FeedForward, norm
from maskfork.core.positions.hooks import Positions
from maskfork.core.spec import AttentionSpec, ModelSpec, StackSpec
from maskfork.errors import ModelError, UsageError


@dataclass
class Pass:
    """One forward pass through a stack: what every layer shares."""

    batch: Batch
    stored: Batch  # the batch of the keys: the same, or all that the cache holds
    source: Batch | None = None
    source_states: Tensor | None = None
    cache: Cache | None = None
    kernel: str = "auto"
    want_weights: bool = False
    memo: dict[Any, Any] = field(default_factory=dict)
    plans: dict[Any, tuple[Plan, list[Refusal]]] = field(default_factory=dict)
    weights: list[Tensor] = field(default_factory=list)
    cross_weights: list[Tensor] = field(default_factory=list)

    @property
    def offset(self) -> int:
        return self.cache.length if self.cache else 0

    def plan(self, attention: Attention, rule: Mask, *, cross: bool) -> Plan:
        """The kernel for this rule, chosen once a pass."""
        key = (rule, cross)
        if key not in self.plans:
            spec = attention.spec
            keys = self.source if cross else self.stored
            if keys is None:
                raise UsageError("this decoder reads an encoder's output: pass input_ids for the encoder too")
            ask = Ask(
                rule=rule,
                queries=self.batch,
                keys=keys,
                heads=spec.num_heads,
                kv_heads=spec.num_kv_heads,
                scale=attention.scale,
                offset=0 if cross else self.offset,
                bias=not cross and attention.has_logits,
                weights=self.want_weights,
                dropout=spec.dropout if attention.training else 0.0,
                softcap=spec.softcap,
                grad=torch.is_grad_enabled(),
            )
            self.plans[key] = choose(ask, self.kernel)
        return self.plans[key][0]


class Embed(nn.Module):
    """Token vectors, plus the type's and the place's, normed and dropped; a projection where the width differs."""

    def __init__(self, spec: StackSpec, tokens: nn.Embedding) -> None:
        super().__init__()
        width = spec.embed.size or spec.hidden_size
        self.tokens = tokens
        self.types = nn.Embedding(spec.embed.types, width) if spec.embed.types else None
        self.norm = norm(spec.embed.norm, spec.hidden_size) if spec.embed.norm else nn.Identity()
        self.project = nn.Linear(width, spec.hidden_size, bias=False) if width != spec.hidden_size else nn.Identity()
        self.drop = Dropout(spec.dropout)
        self.scale = spec.embed.scale

    def forward(self, batch: Batch, positions: list[Positions]) -> Tensor:
        x_BSE = self.tokens(batch.tokens)
        if self.scale != 1.0:
            x_BSE = x_BSE * self.scale
        if self.types is not None:
            x_BSE = x_BSE + (self.types.weight[0] if batch.types is None else self.types(batch.types))
        for scheme in positions:
            x_BSE = scheme.embed(x_BSE, batch.positions)
        return self.drop(self.norm(self.project(x_BSE)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head attention with fused projections.

    Self: `qkv` [(H + 2G) * D, E]. Cross: `q` [H * D, E] and `kv` [2G * D, E] over the source. `out` [E, H * D].
    """

    def __init__(self, spec: AttentionSpec, hidden_size: int, index: int, positions: list[Positions], *, cross: bool) -> None:
        super().__init__()
        self.spec, self.index, self.cross = spec, index, cross
        self.scale = spec.head_size**-0.5 if spec.scale is None else spec.scale
        # A plain attribute, not a child: the scheme belongs to the stack, which all its layers share.
        self.__dict__["positions"] = positions
        self.has_logits = any(p.has_logits for p in positions)
        inner, grouped = spec.num_heads * spec.head_size, spec.num_kv_heads * spec.head_size
        if cross:
            self.q = nn.Linear(hidden_size, inner, bias=spec.qkv_bias)
            self.kv = nn.Linear(hidden_size, 2 * grouped, bias=spec.qkv_bias)
        else:
            self.qkv = nn.Linear(hidden_size, inner + 2 * grouped, bias=spec.qkv_bias)
        self.out = nn.Linear(inner, hidden_size, bias=spec.out_bias)

    def project(self, x: Tensor, part: str) -> Tensor:
        """x [..., E] through the query or the key rows of the fused weight, [..., H * D]."""
        inner = self.spec.num_heads * self.spec.head_size
        rows = slice(0, inner) if part == "query" else slice(inner, inner + self.spec.num_kv_heads * self.spec.head_size)
        bias = None if self.qkv.bias is None else self.qkv.bias[rows]
        return nn.functional.linear(x, self.qkv.weight[rows], bias)

    def forward(self, x_BSE: Tensor, run: Pass, rule: Mask) -> Tensor:
        plan = run.plan(self, rule, cross=self.cross)
        q, k, v = self._cross(x_BSE, run) if self.cross else self._self(x_BSE, run)
        bias = None
        if self.has_logits and not self.cross:
            bias = partial(self._logits, run)
        out_BSHD, weights = plan.run(q, k, v, bias)
        if weights is not None:
            (run.cross_weights if self.cross else run.weights).append(weights)
        return self.out(out_BSHD.flatten(-2))  # type: ignore[no-any-return]

    def _self(self, x_BSE: Tensor, run: Pass) -> tuple[Tensor, Tensor, Tensor]:
        heads, groups = self.spec.num_heads, self.spec.num_kv_heads
        q, k, v = self.qkv(x_BSE).unflatten(-1, (-1, self.spec.head_size)).split([heads, groups, groups], dim=-2)
        for scheme in self.__dict__["positions"]:
            q, k = scheme.rotate(q, k, run.batch.positions, run.memo)
        if run.cache is not None:
            k, v = run.cache.extend(self.index, k, v)
        return q, k, v

    def _cross(self, x_BSE: Tensor, run: Pass) -> tuple[Tensor, Tensor, Tensor]:
        q = self.q(x_BSE).unflatten(-1, (-1, self.spec.head_size))
        known = run.cache.cross(self.index) if run.cache is not None else None
        if known is not None:
            return q, *known
        if run.source_states is None:
            raise UsageError("this decoder reads an encoder's output: pass input_ids for the encoder too")
        k, v = self.kv(run.source_states).unflatten(-1, (-1, self.spec.head_size)).chunk(2, dim=-2)
        if run.cache is not None:
            run.cache.keep_cross(self.index, k, v)
        return q, k, v

    def _logits(self, run: Pass, q: Tensor, k: Tensor, qpos: Tensor, kpos: Tensor) -> Tensor:
        parts = [p.logits(q, k, qpos, kpos, self, run.memo) for p in self.__dict__["positions"] if p.has_logits]
        return sum(parts[1:], parts[0])  # type: ignore[no-any-return]


class Residual(nn.Module):
    """The three norm slots and the dropout around a sublayer."""

    def __init__(self, spec: StackSpec) -> None:
        super().__init__()

        def slot(place: str) -> nn.Module:
            return norm(spec.norm, spec.hidden_size) if place in spec.norm_at else nn.Identity()

        self.norm_in, self.norm_out, self.norm_sum = slot("in"), slot("out"), slot("sum")
        self.drop = Dropout(spec.dropout)

    def add(self, x: Tensor, inner: Tensor) -> Tensor:
        return self.norm_sum(x + self.drop(self.norm_out(inner)))  # type: ignore[no-any-return]


class Block(nn.Module):
    """Self-attention, cross-attention where the stack reads a source, feed-forward."""

    def __init__(self, spec: StackSpec, index: int, positions: list[Positions]) -> None:
        super().__init__()
        self.parallel = spec.parallel
        self.attention = Attention(spec.attention, spec.hidden_size, index, positions, cross=False)
        self.attention_residual = Residual(spec)
        self.cross = Attention(spec.attention, spec.hidden_size, index, [], cross=True) if spec.cross else None
        self.cross_residual = Residual(spec) if spec.cross else None
        self.feed_forward = FeedForward(spec.feed_forward, spec.hidden_size)
        self.feed_forward_residual = Residual(spec)

    def forward(self, x_BSE: Tensor, run: Pass, rule: Mask) -> Tensor:
        around, beyond = self.attention_residual, self.feed_forward_residual
        attended = self.attention(around.norm_in(x_BSE), run, rule)
        if self.parallel:
            return beyond.add(around.add(x_BSE, attended), self.feed_forward(beyond.norm_in(x_BSE)))
        x_BSE = around.add(x_BSE, attended)
        if self.cross is not None and self.cross_residual is not None:
            x_BSE = self.cross_residual.add(x_BSE, self.cross(self.cross_residual.norm_in(x_BSE), run, Full()))
        return beyond.add(x_BSE, self.feed_forward(beyond.norm_in(x_BSE)))


class Stack(nn.Module):
    """Embeddings, blocks and a last norm: an encoder or a decoder, by its masks."""

    def __init__(self, spec: StackSpec, tokens: nn.Embedding) -> None:
        super().__init__()
        self.spec = spec
        self.embed = Embed(spec, tokens)
        self.positions = nn.ModuleList(p.build(spec) for p in spec.positions)
        schemes: list[Positions] = list(self.positions)  # type: ignore[arg-type]
        self.layers = nn.ModuleList(Block(spec, i, schemes) for i in range(spec.depth))
        self.conv = Convolution(spec.conv, spec.hidden_size, spec.norm, spec.dropout) if spec.conv else None
        self.norm = norm(spec.norm, spec.hidden_size) if spec.final_norm else nn.Identity()
        self.drop = Dropout(spec.out_dropout)

    def forward(self, run: Pass, mask: Mask | None = None) -> Tensor:
        """Hidden states [B, S, E]; `mask` replaces the spec's rule on every layer, padding and packing stay."""
        self._check(run.stored)
        schemes: list[Positions] = list(self.positions)  # type: ignore[arg-type]
        entered_BSE = x_BSE = self.embed(run.batch, schemes)
        for i, layer in enumerate(self.layers):
            x_BSE = layer(x_BSE, run, self.spec.masks[i] if mask is None else mask)
            if i == 0 and self.conv is not None:
                x_BSE = self.conv(entered_BSE, x_BSE, run.batch)
        if run.cache is not None:
            run.cache.advance(run.stored)
        return self.drop(self.norm(x_BSE))  # type: ignore[no-any-return]

    def _check(self, stored: Batch) -> None:
        schemes: list[Positions] = list(self.positions)  # type: ignore[arg-type]
        limits = [p.limit for p in schemes if p.limit is not None]
        if limits and stored.shape[1] > min(limits) and int(stored.positions.max()) >= min(limits):
            longest = int(stored.positions.max()) + 1
            raise ModelError(
                f"the text has {longest} tokens and this model has positions for {min(limits)}: shorten it or use another model"
            )


@dataclass
class States:
    """What the body gives: hidden states [B, S, E] of the main stack and of the encoder, and weights where asked."""

    last_hidden_state: Tensor
    encoder_hidden_state: Tensor | None = None
    attentions: tuple[Tensor, ...] | None = None
    cross_attentions: tuple[Tensor, ...] | None = None
    encoder_attentions: tuple[Tensor, ...] | None = None


class Transformer(nn.Module):
    """The body without a head: an encoder, a decoder, or both over one token table."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.main.embed.size or spec.main.hidden_size
        tokens = nn.Embedding(spec.vocab_size, width)
        self.encoder = Stack(spec.encoder, tokens) if spec.encoder else None
        self.decoder = Stack(spec.decoder, tokens) if spec.decoder else None

    @property
    def tokens(self) -> nn.Embedding:
        """The token table that stacks (and tied heads) share."""
        stack = self.decoder or self.encoder
        if stack is None:
            raise ValueError("a model needs an encoder, a decoder, or both")
        return stack.embed.tokens

    def forward(
        self,
        batch: Batch | None,
        target: Batch | None = None,
        *,
        mask: Mask | None = None,
        cache: Cache | None = None,
        kernel: str = "auto",
        want_weights: bool = False,
    ) -> States:
        """`batch` enters the encoder (or the lone decoder), `target` the decoder of an encoder-decoder.

        `mask` replaces the rule of the main stack. With a cache that has read the source, `batch` may be None.
        """
        if self.encoder is None or self.decoder is None:
            stack = self.encoder or self.decoder
            if stack is None or batch is None:
                raise UsageError("a model reads tokens: pass input_ids")
            if cache is not None and self.decoder is None:
                raise UsageError("an encoder reads all tokens at once, so it has no use for a cache: leave it out")
            run = self._start(batch, cache, kernel, want_weights)
            hidden = stack(run, mask)
            return States(hidden, attentions=tuple(run.weights) if want_weights else None)
        source, states, encoder_weights = self._read_source(batch, cache, kernel, want_weights)
        if target is None:
            raise UsageError("an encoder-decoder writes with its decoder: pass decoder_input_ids")
        run = self._start(target, cache, kernel, want_weights)
        run.source, run.source_states = source, states
        hidden = self.decoder(run, mask)
        if not want_weights:
            return States(hidden, states)
        return States(hidden, states, tuple(run.weights), tuple(run.cross_weights), encoder_weights)

    def _start(self, batch: Batch, cache: Cache | None, kernel: str, want_weights: bool) -> Pass:
        if cache is None:
            return Pass(batch, batch, kernel=kernel, want_weights=want_weights)
        if batch.is_packed:
            raise UsageError("a cache keeps one sequence a row: pass a padded batch, not a packed one")
        placed, stored = cache.place(batch)
        return Pass(placed, stored, cache=cache, kernel=kernel, want_weights=want_weights)

    def _read_source(
        self, batch: Batch | None, cache: Cache | None, kernel: str, want_weights: bool
    ) -> tuple[Batch, Tensor, tuple[Tensor, ...] | None]:
        if cache is not None and cache.source is not None:
            states, source = cache.source
            return source, states, None
        if batch is None or self.encoder is None:
            raise UsageError("an encoder-decoder reads its source first: pass input_ids")
        run = Pass(batch, batch, kernel=kernel, want_weights=want_weights)
        states = self.encoder(run)
        if cache is not None:
            cache.source = (states, batch)
        return batch, states, tuple(run.weights) if want_weights else None
