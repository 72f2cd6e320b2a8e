"""A student that starts from its teacher's layers, every other one (DistilBERT, Sanh et al. 2019, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from maskfork.errors import ModelError, UsageError
from maskfork.models.hub import build
from maskfork.models.model import Model

DEPTHS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
#: BERT's settings by DistilBERT's names
DISTILBERT = {
    "dim": "hidden_size", "n_heads": "num_attention_heads", "hidden_dim": "intermediate_size", "activation": "hidden_act",
    "dropout": "hidden_dropout_prob", "attention_dropout": "attention_probs_dropout_prob", "vocab_size": "vocab_size",
    "max_position_embeddings": "max_position_embeddings", "pad_token_id": "pad_token_id",
    "tie_word_embeddings": "tie_word_embeddings", "initializer_range": "initializer_range",
}  # fmt: skip


def start_from(teacher: Model, layers: Sequence[int] | None = None, *, family: str | None = None) -> Model:
    """A student with these of the teacher's layers (counted from 0), its embeddings and its head.

    `layers` None takes every other one, the first and the last among them: 0 2 4 7 9 11 of twelve, as DistilBERT did.
    `family="distilbert"` makes a DistilBERT of a BERT: it has no token types, so the first type's vector goes into the places'
    table, where DistilBERT's authors dropped it. Raises UsageError for layers that are not there, ModelError for a teacher
    whose layers cannot be taken one by one.
    """
    spec, stack = teacher.spec, teacher.spec.main
    if spec.fork == "encoder-decoder" or stack.layers:
        raise ModelError(f"{spec.family} has layers of several kinds, none of which can be left out: build a student of your own")
    kept = every_other(stack.depth) if layers is None else list(layers)
    if not kept or not all(0 <= n < stack.depth for n in kept):
        raise UsageError(f"the teacher has the layers 0 to {stack.depth - 1}, and the student is to have {kept}")
    config = _config(teacher.config, spec.family, len(kept), family)
    student = build(config, spec.head.kind if spec.head else None)
    known, values = teacher.tensors(), student.tensors()
    prefix = f"{'encoder' if spec.encoder else 'decoder'}.layers."
    with torch.no_grad():
        for name, value in values.items():
            source = name
            if name.startswith(prefix):
                number, _, rest = name.removeprefix(prefix).partition(".")
                source = f"{prefix}{kept[int(number)]}.{rest}"
            value.copy_(known[source])
        types = "encoder.embed.types.weight"
        if types in known and types not in values:
            values["encoder.positions.0.table.weight"] += known[types][0]
    if teacher.has_tokenizer:
        student.tokenizer = teacher.tokenizer
    return student


def every_other(depth: int) -> list[int]:
    """Half of the layers, rounded up, evenly from the first to the last."""
    return [int(n) for n in np.linspace(0, depth - 1, (depth + 1) // 2).round()]


def _config(config: Mapping[str, Any], own: str, depth: int, family: str | None) -> dict[str, Any]:
    if family in (None, own):
        name = next((n for n in DEPTHS if n in config), None)
        if name is None:
            raise ModelError(f"the config of {own} names no number of layers: build a student of your own")
        return {**config, "model_type": own, name: depth}
    if (own, family) != ("bert", "distilbert"):
        raise UsageError(f"a {family} cannot be made of a {own}: leave the family out, or make a distilbert of a bert")
    return {
        "model_type": "distilbert", "n_layers": depth,
        **{theirs: config[ours] for theirs, ours in DISTILBERT.items() if ours in config},
    }  # fmt: skip
