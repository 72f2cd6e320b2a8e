"""Every family can be built fresh at every size and learns by its usual objective; shapes that differ, and wrong ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.pretrain.build import build_model, ids_of
from maskfork.learn.pretrain.choose import objective_of, usual_objective
from maskfork.learn.pretrain.shape import shaped
from maskfork.learn.pretrain.sizes import DROPS, SIZES, config_of
from maskfork.models.families import all_families
from maskfork.models.hub import build, sketch
from tests.learn.objectives.test_names import WORDS
from tests.learn.pretrain.ground import ground, tokens_of
from tests.learn.tiny import tokenizer

FAMILIES = sorted(all_families())
PUBLISHED = {  # with the vocabulary of 30,522: Turc et al. 2019, table 1, in millions; the others by their authors
    ("bert", "tiny"): 4.4, ("bert", "mini"): 11.3, ("bert", "small"): 29.1, ("bert", "base"): 110.1,
    ("electra", "small"): 14.0, ("gpt2", "base"): 124.0, ("distilbert", "base"): 109.0,
    ("electra", "base"): 110.0,
}  # fmt: skip
IDS = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}


def counted(family: str, size: str) -> float:
    """Millions of parameters, nothing built."""
    heads = all_families()[family].architectures
    config = {**IDS, **config_of(family, size, 512), "vocab_size": 50257 if family == "gpt2" else 30522}
    config["architectures"] = [heads.get("pool") or heads.get("causal_lm") or heads[None]]
    return sum(p.numel() for p in sketch(config, {}).parameters()) / 1e6


@pytest.mark.parametrize("family", FAMILIES)
def test_sizes_grow_and_are_the_published_ones(family: str) -> None:
    counts = [counted(family, size) for size in SIZES]
    assert counts == sorted(counts)
    assert len(set(counts)) == len(counts)
    for size, count in zip(SIZES, counts, strict=True):
        if (family, size) in PUBLISHED:
            assert count == pytest.approx(PUBLISHED[family, size], rel=0.04)
    assert counts[-1] < 1000  # nothing of a large model's own size is left in a small one


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_learns_by_its_usual_objective(family: str) -> None:
    """A few steps on one batch of whole length bring the loss down."""
    known = all_families()[family]
    config = {**config_of(family, "tiny", 24, 0.0, IDS), "vocab_size": WORDS.size}
    fork = known.spec(config).fork
    objective = objective_of(usual_objective(family, fork), WORDS, length=24)
    torch.manual_seed(0)
    model = build(config, objective.head, seed=1)
    objective.check(model)
    assert model.spec.max_length is None or model.spec.max_length >= 24
    trained: Any = objective.trained(model).train()
    rows = [[2, *np.random.default_rng(n).integers(21, 99, 10).tolist(), 20, *range(30, 40), 20, 3] for n in range(4)]
    sample = objective(Batch.packed(rows), np.random.default_rng(0))
    optimiser = torch.optim.AdamW(trained.parameters(), 2e-3)
    losses = []
    for _ in range(4):
        loss = objective.loss(trained, sample).total
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_places_that_begin_after_the_padding_token() -> None:
    assert config_of("roberta", "tiny", 64, None, {"pad_token_id": 1})["max_position_embeddings"] == 66
    assert config_of("roberta", "tiny", 64, None, {"pad_token_id": 3})["max_position_embeddings"] == 68
    assert config_of("bert", "tiny", 64, None, {"pad_token_id": 3})["max_position_embeddings"] == 64


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "xlnet", "modernbert", "phi3"])
def test_dropout_is_the_familys_own_or_as_asked(family: str) -> None:
    usual, asked = config_of(family, "tiny", 64), config_of(family, "tiny", 64, 0.25)
    added = {name: value for name, value in asked.items() if name not in usual}
    assert set(added) <= set(DROPS)
    assert set(added.values()) == {0.25}


def test_another_shape() -> None:
    config = config_of("llama", "tiny", 64)
    made = shaped(config, ["num_hidden_layers=6", "num_key_value_heads=1", "rope_theta=5e5"])
    assert made == {**config, "num_hidden_layers": 6, "num_key_value_heads": 1, "rope_theta": 5e5}
    assert shaped(config_of("modernbert", "tiny", 64), ["global_attn_every_n_layers=2"])["global_attn_every_n_layers"] == 2
    assert shaped(config_of("bert", "tiny", 64), ["hidden_act=relu"])["hidden_act"] == "relu"


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ("num_hidden_layer=6", "a llama has no setting 'num_hidden_layer': did you mean num_hidden_layers"),
        ("layers", "a shape is name=value"),
        ("num_hidden_layers=many", "cannot be of the shape num_hidden_layers=many"),
        ("num_attention_heads=3", "a width of 128 cannot be shared by 3 heads"),
        ("num_attention_heads=0", "cannot be of the shape num_attention_heads=0"),
    ],
)
def test_a_shape_that_cannot_be(shape: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        shaped(config_of("llama", "tiny", 64), [shape])


def test_special_tokens_by_family(tmp_path: Any) -> None:
    assert ids_of("t5", tokens_of("t5"))["decoder_start_token_id"] == tokens_of("t5").special("pad")
    assert ids_of("bart", tokens_of("bart"))["decoder_start_token_id"] == tokens_of("bart").special("eos")
    assert "decoder_start_token_id" not in ids_of("bert", tokens_of("bert"))
    for family in ("xlnet", "pegasus", "modernbert"):
        with pytest.raises(TokenizerError, match=f"a {family} needs a padding token: train a tokenizer with --for {family}"):
            ids_of(family, tokenizer("gpt2"))
    built = build_model(ground(tmp_path, family="albert", objective="mlm", shape=("num_hidden_layers=5",)))
    assert built.model.spec.main.depth == 5
    assert len(set(built.model.spec.main.blocks)) == 1
