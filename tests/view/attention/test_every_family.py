"""Every family can be looked at: rows are distributions, and no weight stands where its rule forbids one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models, pre_tokenizers

from maskfork import load
from maskfork.models.families import all_families
from maskfork.models.hub import build
from maskfork.models.tokenizers import Tokenizer
from maskfork.view.attention import choose_tile, observe
from maskfork.view.attention.page import attention_html


@pytest.mark.parametrize("family", sorted(all_families()))
def test_a_family_can_be_looked_at(family: str, tmp_path: Path) -> None:
    model = build({**all_families()[family].tiny[0], "model_type": family}, seed=1)
    with torch.no_grad():
        for p in model.parameters():
            if p.dim() > 1:
                p.mul_(8)
    vocab = {f"w{i}": i for i in range(model.spec.vocab_size)}
    inner = tokenizers.Tokenizer(models.WordLevel(vocab, unk_token="w3"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    model.tokenizer = Tokenizer(inner)
    model.save(tmp_path)
    seen = observe(load(tmp_path, head="none"), "w10 w11 w12 w13 w14 w15 w16 w17 w18 w20")
    assert len(seen.maps) == (3 if model.spec.fork == "encoder-decoder" else 1)
    for one in seen.maps:
        assert one.layers == (model.spec.encoder if one.kind == "encoder" else model.spec.main).depth  # type: ignore[union-attr]
        np.testing.assert_allclose(one.weights.sum(-1), 1.0, atol=1e-4)
        assert not one.weights[~np.broadcast_to(one.allowed, one.weights.shape)].any()
    assert "<script" in attention_html(seen, [choose_tile(one, None, None) for one in seen.maps])
