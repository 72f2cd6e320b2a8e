"""A family is one file; and the mask alone makes an encoder of a decoder and the other way round."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from maskfork import Causal, Full, load
from maskfork.models import families
from maskfork.models.families import all_families
from maskfork.models.hub import build, sketch
from tests.models.theirs import Case, configs, pad, saved, sequences, theirs

NEAR = dict(atol=1e-4, rtol=1e-4)

LONGEST = 120  # lines

NEW_FAMILY = '''
"""A GPT-2 by another name."""
from dataclasses import replace

from maskfork.models.families import gpt2

FAMILY = replace(
    gpt2.FAMILY,
    name="gpt-two",
    spec=lambda config: gpt2.spec(config).replace(family="gpt-two"),
    architectures={None: "GptTwo", "causal_lm": "GptTwoLM"},
)
'''


def test_one_file_makes_a_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpt_two.py").write_text(NEW_FAMILY)
    monkeypatch.setattr(families, "__path__", [*families.__path__, str(tmp_path)])
    all_families.cache_clear()
    try:
        assert "gpt-two" in all_families()
        model = build({**dict(all_families()["gpt-two"].tiny[0]), "model_type": "gpt-two"}, "causal_lm", seed=1)
        model.save(tmp_path / "folder")
        assert json.loads((tmp_path / "folder/config.json").read_text())["architectures"] == ["GptTwoLM"]
        again, ids = load(tmp_path / "folder"), torch.tensor([[5, 6, 7]])
        with torch.no_grad():
            assert torch.equal(again(ids).logits, model(ids).logits)  # type: ignore[arg-type]
    finally:
        all_families.cache_clear()


def test_every_family_says_what_it_is() -> None:
    for name, family in all_families().items():
        assert family.name == name
        assert family.about
        assert len(family.tiny) >= 3
        assert len({tuple(sorted((k, str(v)) for k, v in c.items())) for c in (*family.tiny, *family.odd)}) == len(configs(name))
        assert None in family.architectures
        assert family.hub


def test_no_family_is_longer_than_a_page_or_two() -> None:
    files = [f for f in Path(families.__file__).parent.glob("*.py") if "\nFAMILY = " in f.read_text("utf-8")]
    assert len(files) == len(all_families())
    assert {f.name: n for f in files if (n := len(f.read_text("utf-8").splitlines())) > LONGEST} == {}


@torch.no_grad()
def test_a_decoder_without_its_mask_is_an_encoder(tmp_path: Path) -> None:
    """GPT-2 under Full() against theirs with an all-zero additive mask; padding survives."""
    model = saved(Case("gpt2", 0, "causal_lm"), tmp_path)
    lists = sequences(Case("gpt2", 0, None), (7, 4))
    ids, mask = pad(lists, "right")
    additive = torch.zeros(2, 1, 7, 7).masked_fill(~mask.bool()[:, None, None, :], torch.finfo(torch.float32).min)
    want = model(ids, attention_mask=additive).logits
    ours = load(tmp_path)
    got, own = ours(ids, mask, mask=Full()).logits, ours(ids, mask).logits
    assert got is not None
    torch.testing.assert_close(got * mask[..., None], want * mask[..., None], **NEAR)
    assert own is not None
    assert (own - got).abs().max() > 0.1


@torch.no_grad()
def test_an_encoder_under_causal_is_a_decoder(tmp_path: Path) -> None:
    """BERT under Causal() against theirs as a decoder."""
    model = theirs(Case("bert", 0, None))
    model.save_pretrained(tmp_path)
    decoder = transformers.BertModel.from_pretrained(tmp_path, is_decoder=True, add_pooling_layer=False).eval()
    lists = sequences(Case("bert", 0, None), (7, 4))
    ids, mask = pad(lists, "right")
    want = decoder(ids, attention_mask=mask).last_hidden_state * mask[..., None]
    got = load(tmp_path)(ids, mask, mask=Causal()).last_hidden_state * mask[..., None]
    torch.testing.assert_close(got, want, **NEAR)


@torch.no_grad()
def test_the_encoder_of_t5_alone(tmp_path: Path) -> None:
    config = transformers.AutoConfig.for_model("t5", **Case("t5", 1, None).config)
    torch.manual_seed(0)
    model = transformers.T5EncoderModel(config).eval()
    model.save_pretrained(tmp_path / "in")
    ours = load(tmp_path / "in")
    assert ours.spec.fork == "encoder"
    ids, mask = pad(sequences(Case("t5", 1, None)), "right")
    want = model(ids, attention_mask=mask).last_hidden_state * mask[..., None]
    torch.testing.assert_close(ours(ids, mask).last_hidden_state * mask[..., None], want, **NEAR)
    ours.save(tmp_path / "out")
    _, info = transformers.T5EncoderModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    assert load(tmp_path / "out").spec.fork == "encoder"


def test_loading_draws_no_random_numbers(tmp_path: Path) -> None:
    """No tensor is filled before it is read: loading costs the reading, and leaves the caller's seed alone."""
    saved(Case("bart", 0, "causal_lm"), tmp_path)
    before = torch.get_rng_state()
    load(tmp_path)
    load(tmp_path, head="classify", labels=["a", "b"], seed=3)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_table_is_filled_before_its_weights_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device torch does that by way of its compiler, whose import takes two seconds of the first load."""

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a table is filled")

    monkeypatch.setattr(torch.nn.init, "normal_", refuse)
    with pytest.raises(AssertionError, match="filled"):
        torch.nn.Embedding(2, 3, device="meta")
    for name, family in all_families().items():
        for head in family.architectures:
            config = {**family.tiny[0], "model_type": name, "architectures": [family.architectures[head]]}
            assert all(p.is_meta for p in sketch(config, {}).parameters())
