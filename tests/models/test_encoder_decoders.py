"""What encoder-decoders may have that their tiny configs in the parity table cannot: a folder that says other than its config,
an encoder alone, a decoder that begins with the language, tables that follow from the config.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from maskfork import load
from maskfork.core.batch import Batch
from maskfork.core.positions.sinusoidal import waves
from maskfork.errors import ModelError, TokenizerError, UsageError
from maskfork.models.families import all_families
from maskfork.models.hub import build
from tests.models.theirs import Case, pad, saved

NEAR = dict(atol=1e-4, rtol=1e-4)
TEXTS = [[5, 6, 7, 8, 2], [9, 10, 3]]


def change(folder: Path, tensors: dict[str, Tensor | None], **config: Any) -> None:
    """Other tensors (None: none) and other config values in a folder."""
    file = folder / "model.safetensors"
    kept = {**load_file(file), **tensors}
    save_file({n: t for n, t in kept.items() if t is not None}, file, metadata={"format": "pt"})
    said = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**said, **config}), "utf-8")


def given(texts: list[list[int]] = TEXTS, fill: int = 0) -> dict[str, Tensor]:
    return dict(zip(("input_ids", "attention_mask"), pad(texts, "right", fill), strict=True))


@pytest.mark.parametrize("family", ["t5", "mt5"])
def test_an_output_of_its_own(family: str, tmp_path: Path) -> None:
    """FLAN-T5's and mT5's folders hold two tables. Published configs say so; transformers 5 writes that they are tied."""
    case = Case(family, 0, "causal_lm")
    saved(case, tmp_path / "tied")
    table = load_file(tmp_path / "tied/model.safetensors")["shared.weight"]
    change(tmp_path / "tied", {"lm_head.weight": 0.1 * torch.randn_like(table)}, tie_word_embeddings=False)
    said = json.loads((tmp_path / "tied/config.json").read_text("utf-8"))
    said.pop("scale_decoder_outputs", None)
    (tmp_path / "tied/config.json").write_text(json.dumps(said), "utf-8")
    kind = getattr(transformers, case.data.architectures["causal_lm"])
    theirs = kind.from_pretrained(tmp_path / "tied")
    theirs.save_pretrained(tmp_path / "again")
    assert json.loads((tmp_path / "again/config.json").read_text("utf-8"))["tie_word_embeddings"] is True
    target = torch.tensor([[0, 5, 6], [0, 7, 8]])
    with torch.no_grad():
        wanted = theirs(**given(), decoder_input_ids=target).logits
        for folder in (tmp_path / "tied", tmp_path / "again"):
            ours = load(folder)
            assert ours.spec.head is not None
            assert not ours.spec.head.tied
            torch.testing.assert_close(ours(**given(), decoder_input_ids=target).logits, wanted, **NEAR)
            ours.save(tmp_path / "ours")
            back, info = kind.from_pretrained(tmp_path / "ours", output_loading_info=True)
            assert not info["missing_keys"] | info["unexpected_keys"]
            torch.testing.assert_close(back(**given(), decoder_input_ids=target).logits, wanted, **NEAR)


@pytest.mark.parametrize("family", ["t5", "mt5"])
def test_an_encoder_alone(family: str, tmp_path: Path) -> None:
    data = all_families()[family]
    kind = getattr(transformers, data.lone_encoder)
    torch.manual_seed(0)
    theirs = kind(transformers.AutoConfig.for_model(family, **data.tiny[0])).eval()
    theirs.save_pretrained(tmp_path / "in")
    ours = load(tmp_path / "in")
    assert ours.spec.fork == "encoder"
    with torch.no_grad():
        wanted = theirs(**given()).last_hidden_state
        found = ours(**given()).last_hidden_state
        there = given()["attention_mask"][..., None]
        torch.testing.assert_close(found * there, wanted * there, **NEAR)
    ours.save(tmp_path / "out")
    assert json.loads((tmp_path / "out/config.json").read_text("utf-8"))["architectures"] == [data.lone_encoder]
    _, info = kind.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"] | info["unexpected_keys"]
    tagger = load(tmp_path / "in", "tag", labels=["a", "b"])
    assert tagger.spec.fork == "encoder"
    assert tagger(**given()).logits.shape == (2, 5, 2)


def test_a_tagger_from_a_whole_model(tmp_path: Path) -> None:
    """The decoder stays behind, and that is said."""
    saved(Case("t5", 0, "causal_lm"), tmp_path)
    whole, tagger = load(tmp_path), load(tmp_path, "tag", labels=["a", "b", "c"])
    assert tagger.body.decoder is None
    assert any("left behind" in note for note in tagger.notes)
    with torch.no_grad():
        wanted = whole(**given()).encoder_last_hidden_state
        torch.testing.assert_close(tagger(**given()).last_hidden_state, wanted)


def test_mbart_begins_with_the_language(tmp_path: Path) -> None:
    """Without decoder_input_ids a text's last token moves to its front, in every layout as in the reference."""
    theirs = saved(Case("mbart", 0, "causal_lm"), tmp_path)
    ours = load(tmp_path)
    texts = [[5, 6, 7, 8, 2, 90], [9, 10, 2, 91]]  # 90 and 91 are languages
    batch = given(texts, fill=1)
    with torch.no_grad():
        wanted, found = theirs(**batch).logits, ours(**batch).logits
        there = batch["attention_mask"][..., None]
        torch.testing.assert_close(found * there, wanted * there, **NEAR)
        packed = Batch.packed(texts)
        torch.testing.assert_close(packed.unpack(ours(packed).logits), found * there, **NEAR)
        told = torch.tensor([[90, 5, 6, 7, 8, 2], [91, 9, 10, 2, 1, 1]])
        torch.testing.assert_close(ours(**batch, decoder_input_ids=told).logits * there, found * there, **NEAR)


@pytest.mark.parametrize("family", ["pegasus", "marian"])
def test_sines_may_lie_in_the_folder_or_not(family: str, tmp_path: Path) -> None:
    """Published folders leave them out, transformers writes Pegasus's; a table that is another one is refused."""
    case = Case(family, 0, None)
    theirs = saved(case, tmp_path)
    names = [f"{side}.embed_positions.weight" for side in ("encoder", "decoder")]
    count, width = case.config["max_position_embeddings"], case.config["d_model"]
    table = waves(torch.arange(count), width, halves=True)
    assert torch.allclose(load_file(tmp_path / "model.safetensors")[names[0]], table, atol=1e-6)
    target = torch.tensor([[2, 5, 6], [2, 7, 8]])
    with torch.no_grad():
        wanted = theirs(**given(), decoder_input_ids=target).last_hidden_state
        torch.testing.assert_close(load(tmp_path)(**given(), decoder_input_ids=target).last_hidden_state, wanted, **NEAR)
        change(tmp_path, dict.fromkeys(names))
        torch.testing.assert_close(load(tmp_path)(**given(), decoder_input_ids=target).last_hidden_state, wanted, **NEAR)
    change(tmp_path, {names[0]: table.bfloat16(), names[1]: table.half()})
    load(tmp_path)
    change(tmp_path, {names[0]: table + 0.1})
    with pytest.raises(ModelError, match=r"embed_positions.weight \[64, 32\] is not the table that config.json makes"):
        load(tmp_path)
    change(tmp_path, {names[0]: table[:40].clone()})
    with pytest.raises(ModelError, match="is not the table"):
        load(tmp_path)


def test_two_vocabularies() -> None:
    """Marian may read one and write another: each side's tokens are checked against its own."""
    marian = all_families()["marian"]
    model = build({**marian.tiny[2], "model_type": "marian"}, "causal_lm")
    source, target = torch.tensor([[5, 98]]), torch.tensor([[98, 119]])
    assert model(source, decoder_input_ids=target).logits.shape == (1, 2, 120)
    assert model.body.encoder.embed.tokens is not model.body.decoder.embed.tokens  # type: ignore[union-attr]
    with pytest.raises(TokenizerError, match="token id 119 is outside the model's vocabulary of 99"):
        model(target, decoder_input_ids=target)
    with pytest.raises(TokenizerError, match="token id 120 is outside the model's vocabulary of 120"):
        model(source, decoder_input_ids=torch.tensor([[120]]))
    with pytest.raises(UsageError, match="writes in another vocabulary than it reads: pass decoder_input_ids"):
        model(source)


@pytest.mark.parametrize("family", ["bart", "mbart", "pegasus", "marian"])
def test_one_vocabulary_in_several_tables_is_refused(family: str) -> None:
    config = {**all_families()[family].tiny[0], "model_type": family, "tie_word_embeddings": False}
    with pytest.raises(ModelError, match=f"this {family} keeps its token tables apart .* no published one does"):
        build(config)
