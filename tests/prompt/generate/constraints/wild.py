"""A model that wants anything: random weights behind a real byte-level tokenizer."""

from __future__ import annotations

import pytest
import torch

from maskfork import Model, load
from maskfork.cli.where import model_place
from maskfork.models.hub import build


def wild_model() -> Model:
    tokenizer = load(model_place("books-gpt-3m")).tokenizer
    config = {"model_type": "gpt2", "vocab_size": tokenizer.size, "n_embd": 32, "n_layer": 1, "n_head": 2, "n_positions": 2048}
    model = build({**config, "bos_token_id": 0, "eos_token_id": 0}, "causal_lm", seed=0)
    model.tokenizer = tokenizer
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(12.0)
    return model


@pytest.fixture(scope="module")
def wild() -> Model:
    return wild_model()
