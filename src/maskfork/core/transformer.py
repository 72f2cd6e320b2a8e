"""The one Transformer: Embed, Attention, Block, Stack, Transformer. What differs between BERT, GPT and T5 is in the spec.

    tokens ─ Embed ─┬────────────────────────────┬─ Block x depth ─ norm ─> last hidden state
                    │  Attention(mask)           │
                    │  [cross Attention(source)] │
                    │  FeedForward               │
    each sublayer:  x ─ norm_in ─ f ─ norm_out ─ drop ─ (+ x) ─ norm_sum

Legend: B batch, S sequence, Q queries, K keys, H heads, G key/value heads, D head size, E hidden size.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch, Places, Traced
from maskfork.core.cache import Cache
from maskfork.core.dropout import Dropout
from maskfork.core.experts import feed_forward
from maskfork.core.fused import Fused
from maskfork.core.kernels.choose import choose
from maskfork.core.kernels.contract import Ask, Plan, Refusal
from maskfork.core.latent import Latent
from maskfork.core.linear import Linear
from maskfork.core.marked import MarkedHeads, marked_tokens, put, put_weights
from maskfork.core.mask import Full, Mask
from maskfork.core.parts import Convolution, norm
from maskfork.core.positions.hooks import LENGTH, Positions
from maskfork.core.spec import AttentionSpec, ModelSpec, StackSpec
from maskfork.core.table import Table
from maskfork.core.virtual import Virtual
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
    virtual: Virtual | None = None
    layer: int = 0  # the one that runs now
    memo: dict[Any, Any] = field(default_factory=dict)
    plans: dict[Any, tuple[Plan, list[Refusal]]] = field(default_factory=dict)
    weights: list[Tensor] = field(default_factory=list)
    cross_weights: list[Tensor] = field(default_factory=list)
    routed: list[Tensor] = field(default_factory=list)  # a router's logits [tokens, experts] a layer

    @property
    def offset(self) -> int:
        return self.cache.length if self.cache else 0

    def last(self, count: int, x_BSE: Tensor) -> Tensor:
        """The last tokens' states; the weights and the routers' logits are cut to the same tokens."""
        self.weights = [w[:, :, -count:] for w in self.weights]
        self.cross_weights = [w[:, :, -count:] for w in self.cross_weights]
        self.routed = [r.view(*self.batch.shape, -1)[:, -count:].flatten(0, 1) for r in self.routed]
        return x_BSE[:, -count:]

    def plan(self, attention: Attention, rule: Mask, *, cross: bool, queries: Batch | None = None) -> Plan:
        """The kernel for this rule, chosen once a pass. `queries`: some tokens of the batch that ask by themselves."""
        key = (rule, cross, attention.has_logits, id(queries) if queries is not None else None)
        if key not in self.plans:
            named = self.kernel if queries is None else "auto"
            self.plans[key] = choose(self.ask(attention, rule, cross=cross, queries=queries), named)
        return self.plans[key][0]

    def ask(self, attention: Attention, rule: Mask, *, cross: bool, queries: Batch | None = None) -> Ask:
        """What the kernels are asked. Raises UsageError where a decoder has no source to read."""
        spec = attention.spec
        keys = self.source if cross else self.stored
        if keys is None:
            raise UsageError("this decoder reads an encoder's output: pass input_ids for the encoder too")
        if self.cache is not None and not cross:
            keys = self.cache.shown(rule, keys)
        return Ask(
            rule=rule,
            queries=self.batch if queries is None else queries,
            keys=keys,
            heads=spec.num_heads,
            kv_heads=spec.num_kv_heads,
            scale=attention.scale,
            offset=0 if cross else self.offset - (self.stored.shape[1] - keys.shape[1]),
            bias=not cross and attention.speaks(self),
            weights=self.want_weights,
            dropout=spec.dropout if attention.training else 0.0,
            softcap=spec.softcap,
            grad=torch.is_grad_enabled(),
        )


class Embed(nn.Module):
    """Token vectors, plus the type's and the place's, normed and dropped; a projection where the width differs."""

    def __init__(self, spec: StackSpec, tokens: nn.Embedding) -> None:
        super().__init__()
        width = spec.embed.size or spec.hidden_size
        self.tokens = tokens
        self.types = Table(spec.embed.types, width) if spec.embed.types else None
        self.norm_first, self.scale, self.scale_rounded = spec.embed.norm_first, spec.embed.scale, spec.embed.scale_rounded
        normed = width if self.norm_first else spec.hidden_size
        self.norm = norm(spec.embed.norm, normed) if spec.embed.norm else nn.Identity()
        same = width == spec.hidden_size and not spec.embed.project
        self.project = nn.Identity() if same else Linear(width, spec.hidden_size, bias=spec.embed.project_bias)
        self.drop = Dropout(spec.dropout if spec.embed.dropout is None else spec.embed.dropout)
        self.query = nn.Parameter(torch.zeros(1, 1, width)) if spec.embed.query_vector else None

    def forward(self, batch: Batch, positions: list[Positions], virtual: Virtual | None = None) -> Tensor:
        x_BSE = self.tokens(batch.tokens) if virtual is None else virtual.embed(batch.tokens, self.tokens)
        if self.scale != 1.0:
            x_BSE = x_BSE * (x_BSE.new_tensor(self.scale) if self.scale_rounded else self.scale)
        if self.types is not None:
            x_BSE = x_BSE + (self.types.weight[0] if batch.types is None else self.types(batch.types))
        for scheme in positions:
            x_BSE = scheme.embed(x_BSE, batch.positions)
        if self.norm_first:
            return self.project(self.drop(self.norm(x_BSE)))  # type: ignore[no-any-return]
        return self.drop(self.norm(self.project(x_BSE)))  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Multi-head attention with fused projections.

    Self: `qkv` (`Fused`, or `Latent`). Cross: `q` [H * D, E] and `kv` [2G * D, E] over the source. `out` [E, H * D].
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
            self.q = Linear(hidden_size, inner, bias=bool(spec.qkv_bias))
            self.kv = Linear(hidden_size, 2 * grouped, bias=bool(spec.qkv_bias))
        else:
            self.qkv = Latent(spec, spec.latent, hidden_size) if spec.latent else Fused(spec, hidden_size)
        self.marked = MarkedHeads(spec, hidden_size) if spec.marked and not cross else None
        self.out = Linear(spec.num_heads * spec.value_size, hidden_size, bias=spec.out_bias)

    def project(self, x: Tensor, part: str) -> Tensor:
        """x [..., E] through the query or the key rows of the fused weight, [..., H * D]."""
        if isinstance(self.qkv, Latent):
            raise ModelError("latent attention has no rows of queries and keys that a position scheme could use: take rotary")
        return self.qkv.place(x, part)

    def forward(self, x_BSE: Tensor, run: Pass, rule: Mask) -> Tensor:
        plan = run.plan(self, rule, cross=self.cross)
        q, k, v = self._cross(x_BSE, run) if self.cross else self.heads(x_BSE, run)
        out_BSHD, weights = self.read(plan, q, k, v, run)
        if self.marked is not None and (where := marked_tokens(run.batch, run.memo)) is not None:
            q, k, v = self.marked(x_BSE, where)
            own_BMHD, own = self.read(run.plan(self, rule, cross=False, queries=where.queries), q, k, v, run)
            out_BSHD = put(out_BSHD, own_BMHD, where)
            weights = weights if weights is None or own is None else put_weights(weights, own, where)
        if weights is not None:
            (run.cross_weights if self.cross else run.weights).append(weights)
        return self.out(out_BSHD.flatten(-2))  # type: ignore[no-any-return]

    def read(self, plan: Plan, q: Tensor, k: Tensor, v: Tensor, run: Pass) -> tuple[Tensor, Tensor | None]:
        """[B, Q, H, D], and weights [B, H, Q, K] where asked for, with what the position schemes add."""
        return plan.run(q, k, v, partial(self._logits, run) if self.speaks(run) else None)

    def speaks(self, run: Pass) -> bool:
        """Whether a position scheme adds to the logits of this batch."""
        return self.has_logits and not all(p.silent(run.stored.longest) for p in self.__dict__["positions"])

    def heads(self, x_BSE: Tensor, run: Pass) -> tuple[Tensor, Tensor, Tensor]:
        """q [B, S, H, D], k and v [B, K, G, D], turned by their places; with a cache, all keys and values in it."""

        def turn(q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
            for scheme in self.__dict__["positions"]:
                q, k = scheme.rotate(q, k, run.batch.positions, run.memo)
            return q, k

        q, k, v = self.qkv(x_BSE, turn)
        if run.virtual is not None:
            k, v = run.virtual.give(run.layer, run.batch, run.memo, k, v)
        if run.cache is not None:
            k, v = run.cache.extend(run.layer, k, v)
        return q, k, v

    def _cross(self, x_BSE: Tensor, run: Pass) -> tuple[Tensor, Tensor, Tensor]:
        q = self.q(x_BSE).unflatten(-1, (-1, self.spec.head_size))
        known = run.cache.cross(run.layer) if run.cache is not None else None
        if known is not None:
            return q, *known
        if run.source_states is None:
            raise UsageError("this decoder reads an encoder's output: pass input_ids for the encoder too")
        k, v = self.source_heads(run.source_states)
        if run.cache is not None:
            run.cache.keep_cross(run.layer, k, v)
        return q, k, v

    def source_heads(self, x_BKE: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, K, G, D] of a source, for cross-attention."""
        k, v = self.kv(x_BKE).unflatten(-1, (-1, self.spec.head_size)).chunk(2, dim=-2)
        return k, v

    def _logits(self, run: Pass, q: Tensor, k: Tensor, at: Places) -> Tensor:
        parts = [p.logits(q, k, at, self, run.memo) for p in self.__dict__["positions"] if p.has_logits]
        return sum(parts[1:], parts[0])  # type: ignore[no-any-return]


class Residual(nn.Module):
    """The three norm slots and the dropout around a sublayer."""

    def __init__(self, spec: StackSpec, *, norm_in: bool = True) -> None:
        super().__init__()

        def slot(place: str) -> nn.Module:
            wanted = place in spec.norm_at and (norm_in or place != "in")
            return norm(spec.norm, spec.hidden_size) if wanted else nn.Identity()

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
        self.attention_residual = Residual(spec, norm_in=spec.layer(index).norm_first)
        self.cross = Attention(spec.attention, spec.hidden_size, index, [], cross=True) if spec.cross else None
        self.cross_residual = Residual(spec) if spec.cross else None
        self.feed_forward = feed_forward(spec.feed_forward_of(index), spec.hidden_size)
        self.feed_forward_residual = Residual(spec, norm_in=spec.parallel != "shared")

    def forward(self, x_BSE: Tensor, run: Pass, rule: Mask) -> Tensor:
        around, beyond = self.attention_residual, self.feed_forward_residual
        normed = around.norm_in(x_BSE)
        attended = self.attention(normed, run, rule)
        if self.parallel is not None:
            entered = normed if self.parallel == "shared" else beyond.norm_in(x_BSE)
            return beyond.add(around.add(x_BSE, attended), self.feed_forward(entered, run.routed))
        x_BSE = around.add(x_BSE, attended)
        if self.cross is not None and self.cross_residual is not None:
            x_BSE = self.cross_residual.add(x_BSE, self.cross(self.cross_residual.norm_in(x_BSE), run, Full()))
        return beyond.add(x_BSE, self.feed_forward(beyond.norm_in(x_BSE), run.routed))


class Stack(nn.Module):
    """Embeddings, blocks and a last norm: an encoder or a decoder, by its masks.

    `around(block, x, run, rule)` calls a block in the stack's place (training computes it twice to save memory).
    """

    around: Callable[[nn.Module, Tensor, Pass, Mask], Tensor] | None = None

    def __init__(self, spec: StackSpec, tokens: nn.Embedding) -> None:
        super().__init__()
        self.spec = spec
        self.embed = Embed(spec, tokens)
        self.positions = nn.ModuleList(p.build(spec) for p in spec.positions)
        self.blocks = spec.blocks
        firsts = [self.blocks.index(number) for number in range(max(self.blocks, default=-1) + 1)]
        self.layers = nn.ModuleList(Block(spec, i, self._serving(i)) for i in firsts)
        self.conv = Convolution(spec.conv, spec.hidden_size, spec.norm, spec.dropout) if spec.conv else None
        self.norm = norm(spec.norm, spec.hidden_size) if spec.final_norm else nn.Identity()
        self.drop = Dropout(spec.out_dropout)

    def forward(self, run: Pass, mask: Mask | None = None) -> Tensor:
        """Hidden states [B, S, E]; `mask` replaces the spec's rule on every layer, padding and packing stay."""
        self._check(run.stored)
        cache, new, era = run.cache, run.batch.shape[1], self._begin(run)
        schemes: list[Positions] = list(self.positions)  # type: ignore[arg-type]
        entered_BSE = x_BSE = self.embed(run.batch, schemes, run.virtual)
        for i, block in enumerate(self.blocks):
            run.layer = i
            rule = self.spec.masks[i] if mask is None else mask
            rule = rule.in_training() if self.training else rule
            rule = rule if run.virtual is None else run.virtual.rule(rule, run.stored, run.memo)
            if self.around is not None:
                x_BSE = self.around(self.layers[block], x_BSE, run, rule)
            else:
                x_BSE = self.layers[block](x_BSE, run, rule)
            if i == 0 and self.conv is not None:
                x_BSE = self.conv(entered_BSE, x_BSE, run.batch)
        if run.cache is not None and cache is not None:
            run.cache.advance(run.stored, era)
            if run.cache is not cache:
                cache.become(run.cache)
                x_BSE = run.last(new, x_BSE)
        return self.drop(self.norm(x_BSE))  # type: ignore[no-any-return]

    def _begin(self, run: Pass) -> Hashable:
        """Tell the schemes how long the text is; where they turn it otherwise than what is cached, all of it is read again.

        Nothing less is exact: keys that are cached unturned would still come, beyond the first layer, from states that the
        shorter text's angles shaped.
        """
        schemes: list[Positions] = [p for p in self.positions if p.by_length]  # type: ignore[misc]
        if not schemes:
            return None
        run.memo[LENGTH] = run.stored.longest
        era = tuple(p.era(run.stored.longest) for p in schemes)
        if run.cache is not None and run.cache.length and era != run.cache.era:
            run.batch, run.cache = run.stored, run.cache.blank()
        return era

    def _serving(self, layer: int) -> list[Positions]:
        """The schemes of one layer."""
        schemes: list[Positions] = list(self.positions)  # type: ignore[arg-type]
        chosen = self.spec.layer(layer).positions
        return schemes if chosen is None else [schemes[i] for i in chosen]

    def _check(self, stored: Batch) -> None:
        if isinstance(stored, Traced):  # whose length is open
            return
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
    routed: tuple[Tensor, ...] | None = None  # the routers' logits [tokens, experts], where there are experts


class Transformer(nn.Module):
    """The body without a head: an encoder, a decoder, or both, over one token table or each over its own."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        width = spec.main.embed.size or spec.main.hidden_size
        tokens = Table(spec.vocab_size, width)
        self.encoder = Stack(spec.encoder, tokens) if spec.encoder else None
        if spec.encoder and not spec.one_table:
            tokens = Table(spec.decoder_vocab_size or spec.vocab_size, width)
        self.decoder = Stack(spec.decoder, tokens) if spec.decoder else None

    @property
    def tokens(self) -> nn.Embedding:
        """The token table of the main stack, which tied heads share."""
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
        virtual: Virtual | None = None,
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
            run = self._start(batch, cache, kernel, want_weights, virtual)
            hidden = stack(run, mask)
            return States(hidden, attentions=tuple(run.weights) if want_weights else None, routed=tuple(run.routed) or None)
        source, states, encoder_weights = self._read_source(batch, cache, kernel, want_weights, virtual)
        if target is None:
            raise UsageError("an encoder-decoder writes with its decoder: pass decoder_input_ids")
        run = self._start(target, cache, kernel, want_weights, virtual)
        run.source, run.source_states = source, states
        hidden = self.decoder(run, mask)
        if not want_weights:
            return States(hidden, states)
        return States(hidden, states, tuple(run.weights), tuple(run.cross_weights), encoder_weights)

    def _start(self, batch: Batch, cache: Cache | None, kernel: str, want_weights: bool, virtual: Virtual | None) -> Pass:
        if cache is None:
            return Pass(batch, batch, kernel=kernel, want_weights=want_weights, virtual=virtual)
        if batch.is_packed:
            raise UsageError("a cache keeps one sequence a row: pass a padded batch, not a packed one")
        placed, stored = cache.place(batch)
        return Pass(placed, stored, cache=cache, kernel=kernel, want_weights=want_weights, virtual=virtual)

    def _read_source(
        self, batch: Batch | None, cache: Cache | None, kernel: str, want_weights: bool, virtual: Virtual | None
    ) -> tuple[Batch, Tensor, tuple[Tensor, ...] | None]:
        if cache is not None and cache.source is not None:
            states, source = cache.source
            return source, states, None
        if batch is None or self.encoder is None:
            raise UsageError("an encoder-decoder reads its source first: pass input_ids")
        run = Pass(batch, batch, kernel=kernel, want_weights=want_weights, virtual=virtual)
        states = self.encoder(run)
        if cache is not None:
            cache.source = (states, batch)
        return batch, states, tuple(run.weights) if want_weights else None
