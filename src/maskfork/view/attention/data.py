"""What a model read: the weights of every layer and head, the rule that allowed them, and the tokens they belong to.

Nothing is drawn here. Layers and heads are counted from 0, as in `attentions[layer][0, head]` and in the weights' names.

Legend: L layers, H heads, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from maskfork.core.batch import Batch, bind
from maskfork.core.mask import Full, Mask
from maskfork.core.spec import StackSpec
from maskfork.errors import UsageError
from maskfork.models.model import Model
from maskfork.models.tokenizers.pieces import pieces
from maskfork.view.attention.rollout import reach, reach_cross, rollout, rollout_cross

Weights = NDArray[np.float32]
Allowed = NDArray[np.bool_]
Kind = Literal["encoder", "decoder", "cross"]
Part = Literal["first", "second", "special"]
LIMIT = 128


@dataclass(frozen=True)
class Token:
    """A token as people read it; `part` says which text it is of."""

    text: str
    id: int
    part: Part


@dataclass(frozen=True)
class Tile:
    """One picture of a map: a head of a layer, the mean over a layer's heads (`head` None), or the rollout (both None)."""

    layer: int | None
    head: int | None = None

    def __str__(self) -> str:
        if self.layer is None:
            return "rollout"
        return f"layer {self.layer}, " + ("mean over heads" if self.head is None else f"head {self.head}")


@dataclass(frozen=True, eq=False)
class Map:
    """One kind of attention. `weights` [L, H, Q, K]; `allowed` [L, 1 or H, Q, K], the bound rule's own matrix.

    `rollout` and `reach` are [Q, K]: what has arrived after all layers, and what could have by the rules alone.
    """

    kind: Kind
    queries: tuple[Token, ...]
    keys: tuple[Token, ...]
    weights: Weights
    allowed: Allowed
    rules: tuple[str, ...]
    rollout: Weights
    reach: Allowed

    @property
    def layers(self) -> int:
        return len(self.weights)

    @property
    def heads(self) -> int:
        return int(self.weights.shape[1])

    def of(self, tile: Tile) -> tuple[Weights, Allowed]:
        """(weights, allowed) of one picture, [Q, K] each."""
        if tile.layer is None:
            return self.rollout, self.reach
        weights, allowed = self.weights[tile.layer], self.allowed[tile.layer]
        if tile.head is None:
            return weights.mean(0), allowed.any(0)
        return weights[tile.head], allowed[tile.head if len(allowed) > 1 else 0]


@dataclass(frozen=True, eq=False)
class Attention:
    """All that one pass showed: one map, or three for an encoder-decoder (encoder, decoder, cross)."""

    model: str
    family: str
    fork: str
    maps: tuple[Map, ...]
    notes: tuple[str, ...] = ()


def observe(
    model: Model, text: str, pair: str | None = None, *, mask: Mask | None = None, limit: int = LIMIT, name: str = ""
) -> Attention:
    """Run the model once over a text and keep what every head read.

    `pair` is a second text for an encoder or a decoder, and what an encoder-decoder writes (without it, the text again).
    `mask` replaces the rule of the main stack on every layer. Texts are cut to `limit` tokens, which a note says. Raises
    UsageError on a text without tokens, TokenizerError without a tokenizer, ModelError on more tokens than positions.
    """
    both = model.spec.fork == "encoder-decoder"
    notes: list[str] = []
    batch, tokens = _read(model, text, None if both else pair, limit, notes)
    name = name or (model.folder.name if model.folder else model.spec.family)
    if not both:
        with torch.inference_mode():
            seen = model(batch, mask=mask, output_attentions=True).attentions
        stack = model.spec.main
        only = _self_map("encoder" if model.spec.fork == "encoder" else "decoder", stack, batch, tokens, seen, mask)
        return Attention(name, model.spec.family, model.spec.fork, (only,), tuple(notes))
    target, written = _write(model, text if pair is None else pair, limit, notes)
    with torch.inference_mode():
        out = model(batch, decoder_input_ids=target, mask=mask, output_attentions=True)
    assert model.spec.encoder is not None
    assert model.spec.decoder is not None
    encoder = _self_map("encoder", model.spec.encoder, batch, tokens, out.encoder_attentions, None)
    decoder = _self_map("decoder", model.spec.decoder, target, written, out.attentions, mask)
    across, allowed = _weights(out.cross_attentions), _matrices([Full()] * len(out.cross_attentions), target, batch, 1)
    _, over_source = rollout_cross(decoder.weights, across, encoder.rollout)
    cross = Map(
        "cross", written, tokens, across, allowed, ("every target token reads the whole source",) * len(across),
        over_source, reach_cross(decoder.allowed, allowed, encoder.reach),
    )  # fmt: skip
    return Attention(name, model.spec.family, model.spec.fork, (encoder, decoder, cross), tuple(notes))


def _self_map(
    kind: Kind, stack: StackSpec, batch: Batch, tokens: tuple[Token, ...], seen: tuple[Tensor, ...], mask: Mask | None
) -> Map:
    weights = _weights(seen)
    rules = stack.masks if mask is None else (mask,) * stack.depth
    allowed = _matrices(rules, batch, batch, stack.attention.num_heads)
    return Map(kind, tokens, tokens, weights, allowed, tuple(map(str, rules)), rollout(weights), reach(allowed))


def _weights(seen: Sequence[Tensor]) -> Weights:
    """[L, H, Q, K] float32 of the first row."""
    return np.stack([layer[0].float().numpy() for layer in seen])


def _matrices(rules: Sequence[Mask], queries: Batch, keys: Batch, heads: int) -> Allowed:
    """Each layer's rule, bound to the batch, as [L, 1 or H, Q, K]; every head has its own only where some rule says so."""
    drawn: dict[Mask, Tensor] = {}
    for rule in dict.fromkeys(rules):
        drawn[rule] = bind(rule, queries, keys).matrix(queries.shape[1], keys.shape[1], heads=heads)[0]
    wide = max(m.shape[0] for m in drawn.values())
    return np.stack([drawn[r].expand(wide, -1, -1).numpy() for r in rules])


def _read(model: Model, text: str, pair: str | None, limit: int, notes: list[str]) -> tuple[Batch, tuple[Token, ...]]:
    """The batch of one row that enters the model, and its tokens."""
    encoded, sides = model.tokenizer.encode_sided(text, pair, limit=limit)
    if all(side is None for side in sides):
        if encoded.lost:
            raise UsageError(f"{limit} tokens leave no room for the text beside the special tokens: raise --tokens")
        raise UsageError("the text has no tokens to look at: give at least one word")
    _say_cut(encoded.total, limit, "text" if pair is None else "pair", notes)
    stack = model.spec.encoder or model.spec.main
    types = torch.tensor([encoded.types]) if stack.embed.types > 1 else None
    names = pieces(model.tokenizer, encoded.ids, [side is None for side in sides])
    parts: list[Part] = ["special" if side is None else "second" if side else "first" for side in sides]
    tokens = tuple(Token(n, i, p) for n, i, p in zip(names, encoded.ids, parts, strict=True))
    return Batch.padded(torch.tensor([encoded.ids]), types=types), tokens


def _write(model: Model, text: str, limit: int, notes: list[str]) -> tuple[Batch, tuple[Token, ...]]:
    """What an encoder-decoder's decoder reads while it writes `text`: its start, then the text without its end."""
    spec = model.spec
    if spec.decoder_vocab_size is not None:
        raise UsageError("this model writes in another vocabulary than it reads, and the folder has one tokenizer for both")
    encoded, sides = model.tokenizer.encode_sided(text, limit=limit)
    ids, special = list(encoded.ids), [side is None for side in sides]
    _say_cut(encoded.total, limit, "target", notes)
    if spec.decoder_starts_with_last and ids:
        ids, special = [ids[-1], *ids[:-1]], [special[-1], *special[:-1]]
    elif spec.decoder_start_id is None:
        raise UsageError("config.json names no decoder_start_token_id, so the decoder cannot begin: add it")
    else:
        ended = bool(ids) and ids[-1] in ((spec.eos_id,) if isinstance(spec.eos_id, int) else spec.eos_id or ())
        end = len(ids) - ended
        ids, special = [spec.decoder_start_id, *ids[:end]], [True, *special[:end]]
    names = pieces(model.tokenizer, ids, special)
    tokens = tuple(Token(n, i, "special" if s else "second") for n, i, s in zip(names, ids, special, strict=True))
    return Batch.padded(torch.tensor([ids])), tokens


def _say_cut(total: int, limit: int, what: str, notes: list[str]) -> None:
    if total > limit:
        notes.append(f"the {what} has {total} tokens and was cut to {limit} before the model read it: --tokens {total} reads all")
