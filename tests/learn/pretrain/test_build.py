"""Fresh models by family and size, models that go on, new words, and settings that make no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.errors import TokenizerError, UsageError
from maskfork.learn.pretrain import pretrain
from maskfork.learn.pretrain.build import build_model, extend
from maskfork.learn.pretrain.settings import Settings, settings_of
from tests.learn.pretrain.ground import ground, tokens_of
from tests.learn.tiny import make, tokenizer


def test_a_folder_goes_on(tmp_path: Path) -> None:
    old = make("bert", "masked_lm")
    old.save(tmp_path / "old")
    given = ground(tmp_path, family=None, start=str(tmp_path / "old"), tokenizer=None)
    assert given.rate == 5e-5
    built = build_model(given)
    assert built.model.spec.head is not None
    assert all(torch.equal(p, q) for p, q in zip(built.model.parameters(), old.parameters(), strict=True))
    tokenizer("gpt2").save(tmp_path / "else")
    with pytest.raises(UsageError, match="is not the tokenizer of"):
        build_model(ground(tmp_path, family=None, start=str(tmp_path / "old"), tokenizer=str(tmp_path / "else")))
    with pytest.raises(UsageError, match="reads 64 tokens and --length says 100"):
        build_model(ground(tmp_path, family=None, start=str(tmp_path / "old"), tokenizer=None, length=100))
    with pytest.raises(UsageError, match="clm is for a decoder, and bert is an encoder"):
        build_model(ground(tmp_path, "clm", family=None, start=str(tmp_path / "old"), tokenizer=None))


def test_new_words_begin_as_the_mean_of_their_pieces() -> None:
    import tokenizers

    model = make("bert", "masked_lm")
    own = model.tokenizer
    other = tokenizer("bert")
    other.inner.add_tokens(["sceneplot", "filmfilm", "the"])
    pieces = own.encode("sceneplot", special=False)
    assert len(pieces) > 1
    table = model.body.tokens.weight.detach().clone()
    before = model(Batch.from_lists([own.encode("the film was dull")], 0)).logits
    wider, said = extend(model, other)
    assert said.startswith("2 new words")
    assert wider.spec.vocab_size % 64 == 0
    number = wider.tokenizer.id("sceneplot")
    assert number == len(wider.tokenizer.inner.get_vocab()) - 2
    assert wider.tokenizer.encode("the sceneplot", special=False)[-1] == number
    assert torch.equal(wider.body.tokens.weight[number], table[pieces].mean(0))
    assert torch.equal(wider.body.tokens.weight[: len(table)], table)
    after = wider(Batch.from_lists([wider.tokenizer.encode("the film was dull")], 0)).logits
    torch.testing.assert_close(after[..., : len(table)], before, atol=1e-5, rtol=1e-5)
    assert extend(wider, other)[1].startswith("the other tokenizer has no word")
    assert isinstance(wider.tokenizer.inner, tokenizers.Tokenizer)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"family": None}, "a family for a fresh model, or a folder"),
        ({"from": "x"}, "a family for a fresh model, or a folder"),
        ({"data": []}, "no text to train on"),
        ({"tokenizer": None}, "needs a tokenizer"),
        ({"steps": None}, "say how long"),
        ({"epochs": 2.0}, "say how long"),
        ({"rows": 0}, "rows must be above zero"),
        ({"warmup": 1.0}, "warmup is a share"),
        ({"schedule": "steps"}, "the schedule is one of linear, cosine, wsd"),
        ({"rows": "many"}, "rows"),
        ({"row": 4}, "row"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], words: str) -> None:
    given = {"family": "bert", "tokenizer": "t", "data": ["x"], "steps": 5}
    with pytest.raises(UsageError, match=words):
        settings_of({k: v for k, v in {**given, **changes}.items() if v is not None})


def test_names_that_are_not_known(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no family 'brt'"):
        build_model(ground(tmp_path, family="brt"))
    with pytest.raises(UsageError, match="a model is tiny, mini, small, base, not 'huge'"):
        build_model(ground(tmp_path, size="huge"))
    with pytest.raises(UsageError, match="there is no objective 'mln'"):
        build_model(Settings(**{**{f: getattr(ground(tmp_path), f) for f in Settings.__struct_fields__}, "objective": "mln"}))
    with pytest.raises(UsageError, match=r"span-corruption is for an encoder-decoder, and bert is an encoder|needs sentinels"):
        build_model(Settings(**{**{f: getattr(ground(tmp_path, "span-corruption"), f) for f in Settings.__struct_fields__},
                                "family": "bert"}))  # fmt: skip
    tokens_of("llama").save(tmp_path / "bare")
    with pytest.raises(TokenizerError, match=r"needs a padding token|needs a mask token"):
        build_model(ground(tmp_path, tokenizer=str(tmp_path / "bare")))


def test_a_model_goes_on_with_new_words_and_is_loaded_again(tmp_path: Path) -> None:
    old = make("bert", "masked_lm")
    old.save(tmp_path / "old")
    other = tokenizer("bert")
    other.inner.add_tokens(["sceneplot"])
    other.save(tmp_path / "wide")
    given = ground(
        tmp_path, family=None, start=str(tmp_path / "old"), tokenizer=str(tmp_path / "wide"), extend_vocabulary=True, steps=3
    )
    (tmp_path / "text.txt").write_text("the sceneplot was dull. a sceneplot of the film. " * 60)
    done = pretrain(given, tmp_path / "out")
    assert any("1 new words" in note for note in done.notes)
    made = load(tmp_path / "out")
    number = made.tokenizer.id("sceneplot")
    assert number in made.tokenizer.encode("the sceneplot")
    assert made.spec.vocab_size >= made.tokenizer.size
    assert not torch.equal(made.body.tokens.weight[: old.spec.vocab_size], old.body.tokens.weight)
