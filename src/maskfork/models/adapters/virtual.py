"""Virtual tokens in a model: prompts (vectors) and prefixes (keys and values), by adapter.

Their ids follow the vocabulary's: adapter after adapter, place after place.

Legend: B rows, S tokens of a row, E width, L layers, P virtual tokens, G key/value heads, D head size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from maskfork.core.batch import Batch
from maskfork.core.mask import And, Behind, BehindIn, Mask, Or, conjunction
from maskfork.core.spec import ModelSpec, StackSpec
from maskfork.core.transformer import States
from maskfork.errors import UsageError
from maskfork.models.adapters.insert import Inserted, insert, sequences
from maskfork.models.adapters.switch import Switch


@dataclass(frozen=True, eq=False)
class Entered:
    """A pass's batches with virtual tokens in them, None where none were put in."""

    batch: Inserted | None
    target: Inserted | None

    def leave(self, states: States, *, lone: bool) -> States:
        """The states of real tokens alone. `lone`: the model has one stack, so its batch is the main one."""
        main = self.batch if lone else self.target
        if main is not None:
            cut = main.cut
            states = replace(
                states,
                last_hidden_state=cut(states.last_hidden_state),
                attentions=_queries(states.attentions, main),
                cross_attentions=_queries(states.cross_attentions, main),
                routed=None if states.routed is None else tuple(_routed(r, main) for r in states.routed),
            )
        if not lone and self.batch is not None and states.encoder_hidden_state is not None:
            states = replace(states, encoder_hidden_state=self.batch.cut(states.encoder_hidden_state))
            states = replace(states, encoder_attentions=_queries(states.encoder_attentions, self.batch))
        return states


class VirtualTokens(nn.Module):
    """`prompts` [P, E] and `prefixes` [L, 2, P, G, D] by adapter. It is what a pass carries (`core.virtual.Virtual`)."""

    def __init__(self, spec: ModelSpec, switch: Switch) -> None:
        super().__init__()
        self.spec, self.switch = spec, switch
        self.first = max(spec.vocab_size, spec.decoder_vocab_size or 0)
        self.prompts, self.prefixes = nn.ParameterDict(), nn.ParameterDict()
        self._begins: dict[str, int] = {}

    def add(self, name: str, values: Tensor) -> None:
        """A prompt [P, E] or a prefix [L, 2, P, G, D]."""
        self._begins[name] = self.first + sum(self.length(other) for other in self._begins)
        (self.prompts if values.dim() == 2 else self.prefixes)[name] = nn.Parameter(values)

    def length(self, name: str | None) -> int:
        """How many virtual tokens an adapter has."""
        if name is None:
            return 0
        if name in self.prompts:
            return int(self.prompts[name].shape[0])
        return int(self.prefixes[name].shape[2]) if name in self.prefixes else 0

    @property
    def longest(self) -> int:
        """The most that an adapter in use has."""
        return max((self.length(name) for name in self.switch.on), default=0)

    @property
    def reads_prompt(self) -> bool:
        """Whether a head of sequences reads the longer texts: as peft, whose prompts are the first tokens of a text."""
        return any(name in self.prompts for name in self.switch.on)

    def enter(self, batch: Batch | None, target: Batch | None, *, started: bool) -> Entered:
        """Put the tokens of the adapters in use before each sequence; `started`: a cache holds them already."""
        if started or not any(self.length(name) for name in self.switch.on):
            return Entered(None, None)
        if self.spec.fork != "encoder-decoder":
            return Entered(self._into(batch, (self.prompts, self.prefixes)), None)
        return Entered(self._into(batch, (self.prompts,)), self._into(target, (self.prefixes,)))

    def _into(self, batch: Batch | None, held: Sequence[nn.ParameterDict]) -> Inserted | None:
        if batch is None or not any(name in table for name in self.switch.on for table in held):
            return None
        names = self.switch.names(sequences(batch))
        return insert(batch, [self._ids(name if name and any(name in table for table in held) else None) for name in names])

    def _ids(self, name: str | None) -> Tensor:
        begin = self._begins[name] if name is not None else 0
        return torch.arange(begin, begin + self.length(name))

    def without_prefixes(self, batch: Batch) -> Batch:
        """A prefix's places are no tokens of a text; where rows with and without one stand together, they are padding."""
        prefix = torch.zeros_like(batch.tokens, dtype=torch.bool)
        for name in self.prefixes:
            prefix = prefix | self._named(batch.tokens, name)
        if not bool(prefix.any()):
            return batch
        keep = ~prefix if batch.keep is None else batch.keep & ~prefix
        return replace(batch, keep=keep)

    # --- what a pass asks

    def embed(self, tokens_BS: Tensor, table: nn.Embedding) -> Tensor:
        virtual = tokens_BS >= self.first
        if not bool(virtual.any()):
            return table(tokens_BS)  # type: ignore[no-any-return]
        x_BSE: Tensor = table(tokens_BS.masked_fill(virtual, 0))
        x_BSE = x_BSE.masked_fill(virtual[..., None], 0.0)  # of a prefix nothing but its keys and values is read
        for name, prompt in self.prompts.items():
            where = self._where(tokens_BS, name)
            if where[0].numel():
                x_BSE = x_BSE.index_put(where, prompt[tokens_BS[where] - self._begins[name]].to(x_BSE.dtype))
        return x_BSE

    def give(self, layer: int, batch: Batch, memo: dict[Any, Any], k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        for name, prefix in self.prefixes.items():
            if (found := memo.get(("prefix", name, id(batch)))) is None:
                where = self._where(batch.tokens, name)
                found = memo["prefix", name, id(batch)] = (where, batch.tokens[where] - self._begins[name], batch)
            where, number, _ = found
            if number.numel():
                block = self._block(layer)
                k = k.index_put(where, prefix[block, 0][number].to(k.dtype))
                v = v.index_put(where, prefix[block, 1][number].to(v.dtype))
        return k, v

    def _block(self, layer: int) -> int:
        """Which of a prefix's blocks a layer reads: its own; in an encoder-decoder as peft deals them out, 2i modulo L."""
        return layer if self.spec.fork != "encoder-decoder" else 2 * layer % self.spec.main.depth

    def rule(self, rule: Mask, stored: Batch, memo: dict[Any, Any]) -> Mask:
        """A prefix is read under every rule; a prompt is text, but for rules that speak of a text's own places."""
        key = ("behind", rule)
        if key not in memo:
            virtual = stored.tokens >= self.first
            prefixed = any(bool(self._named(stored.tokens, name).any()) for name in self.prefixes)
            counts = [self.length(self.switch.active)] if stored.is_packed else virtual.sum(1).tolist()
            memo[key] = _behind(rule, counts, prefixed=prefixed) if bool(virtual.any()) else rule
        return memo[key]  # type: ignore[no-any-return]

    def _named(self, tokens_BS: Tensor, name: str) -> Tensor:
        begin = self._begins[name]
        return (tokens_BS >= begin) & (tokens_BS < begin + self.length(name))

    def _where(self, tokens_BS: Tensor, name: str) -> tuple[Tensor, ...]:
        return self._named(tokens_BS, name).nonzero(as_tuple=True)


def check_prefix(stack: StackSpec) -> None:
    """Raises UsageError where a stack's attention has no place for keys and values from outside."""
    spec = stack.attention
    if spec.latent is not None or spec.marked or any(rule.needs_lengths for rule in stack.masks):
        kind = (
            "latent attention"
            if spec.latent
            else "heads of their own for marked tokens"
            if spec.marked
            else f"the rule {stack.masks[0]}"
        )
        raise UsageError(f"a prefix cannot be put before this model's keys, for it has {kind}: use prompt or lora")


def _behind(rule: Mask, counts: Sequence[int], *, prefixed: bool) -> Mask:
    """The rule behind so many virtual tokens a sequence. What asks for order alone lets all read what leads anyway."""
    if isinstance(rule, And):
        return conjunction([_behind(part, counts, prefixed=prefixed) for part in rule.parts])
    if isinstance(rule, Or):
        return Or(tuple(_behind(part, counts, prefixed=prefixed) for part in rule.parts))
    moved = rule.speaks_of == "place" and not rule.needs_lengths
    if not (moved or (prefixed and rule.speaks_of == "distance")):
        return rule
    if len(set(counts)) == 1:
        return Behind(rule, counts[0])
    return BehindIn(rule, torch.tensor(counts))


def _queries(weights: tuple[Tensor, ...] | None, inserted: Inserted) -> tuple[Tensor, ...] | None:
    """Attention weights [B, H, W, K] of the real tokens' queries, [B, H, S, K]."""
    if weights is None:
        return None
    return tuple(inserted.cut(w.transpose(1, 2)).transpose(1, 2) for w in weights)


def _routed(logits_TX: Tensor, inserted: Inserted) -> Tensor:
    return inserted.cut(logits_TX.view(*inserted.batch.shape, -1)).flatten(0, 1)
