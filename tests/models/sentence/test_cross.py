"""Cross-encoders against sentence-transformers: the same scores and ranks, from its folders and from ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from maskfork import load, load_cross_encoder, load_sentence_encoder
from maskfork.errors import ModelError, UsageError
from maskfork.models.sentence import CrossEncoder as Ours
from tests.learn.tiny import make
from tests.models.sentence.peer import TEXTS, WIDTH, CrossEncoder, Dense, Pooling, Transformer, encoder

PAIRS = list(zip(TEXTS, TEXTS[::-1], strict=True))


def classifier(folder: Path, labels: int, **changes: Any) -> Path:
    return make("bert", "classify", num_labels=labels, **changes).save(folder)


def theirs(folder: Path, **options: Any) -> Any:
    return CrossEncoder(str(folder), device="cpu", **options)


def same(ours: Ours, peer: Any, **options: Any) -> None:
    given = {{"softmax": "apply_softmax", "activation": "activation_fn"}.get(k, k): v for k, v in options.items()}
    np.testing.assert_allclose(ours.predict(PAIRS, **options), peer.predict(PAIRS, **given), atol=1e-5)


@pytest.mark.parametrize("labels", [1, 3])
def test_a_classifiers_folder(labels: int, tmp_path: Path) -> None:
    peer = theirs(classifier(tmp_path / "plain", labels))
    ours = load_cross_encoder(tmp_path / "plain")
    assert (ours.num_labels, type(ours.activation)) == (labels, nn.Sigmoid if labels == 1 else nn.Identity)
    same(ours, peer)
    same(ours, peer, activation=nn.Tanh())
    same(ours, peer, softmax=True)
    peer.save_pretrained(str(tmp_path / "st"))  # as version 6 writes it
    same(load_cross_encoder(tmp_path / "st"), peer)
    ours.save(tmp_path / "back")
    same(ours, theirs(tmp_path / "back"))
    same(load_cross_encoder(tmp_path / "back"), peer)
    assert load(tmp_path / "back").spec.head == load(tmp_path / "plain").spec.head


@pytest.mark.parametrize("spelling", ["new", "old", "file"])
def test_the_activation_of_the_folder(spelling: str, tmp_path: Path) -> None:
    folder = classifier(tmp_path / "in", 1)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    path = "torch.nn.modules.linear.Identity"
    if spelling == "file":
        theirs(folder, activation_fn=nn.Identity()).save_pretrained(str(folder))
    else:
        config |= {"sentence_transformers": {"activation_fn": path}} if spelling == "new" else {
            "sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
    ours = load_cross_encoder(folder)
    assert isinstance(ours.activation, nn.Identity)
    same(ours, theirs(folder))
    ours.save(tmp_path / "back")
    written = json.loads((tmp_path / "back/config.json").read_text("utf-8"))
    assert written["sentence_transformers"]["activation_fn"] == path
    assert "sbert_ce_default_activation_function" not in written
    same(load_cross_encoder(tmp_path / "back"), theirs(tmp_path / "back"))
    (tmp_path / "back/modules.json").unlink()  # what versions before 6 look at
    same(ours, theirs(tmp_path / "back"))


def test_prompts_and_the_limit(tmp_path: Path) -> None:
    prompts = {"web": "the story of "}
    peer = theirs(classifier(tmp_path / "in", 1), prompts=prompts, default_prompt_name="web", max_length=14)
    peer.save_pretrained(str(tmp_path / "st"))
    ours = load_cross_encoder(tmp_path / "st")
    assert (ours.prompts, ours.max_seq_length) == (prompts, 14)
    for options in ({}, {"prompt": ""}, {"prompt": "music "}, {"prompt_name": "web"}):
        same(ours, peer, **options)
    ours.save(tmp_path / "back")
    again = theirs(tmp_path / "back")
    assert (again.prompts, again.default_prompt_name, again.max_seq_length) == (prompts, "web", 14)
    same(ours, again)


def test_rank(tmp_path: Path) -> None:
    peer = theirs(classifier(tmp_path, 1))
    ours = load_cross_encoder(tmp_path)
    for top in (None, 5):
        found = ours.rank("a film of light", TEXTS, top)
        wanted = peer.rank("a film of light", TEXTS, top_k=top)
        assert [r.index for r in found] == [w["corpus_id"] for w in wanted]
        np.testing.assert_allclose([r.score for r in found], [w["score"] for w in wanted], atol=1e-5)
        assert all(r.text == TEXTS[r.index] for r in found)
    assert ours.rank("a", []) == []
    assert ours.predict([]).shape == (0,)


def test_stages_that_end_in_scores(tmp_path: Path) -> None:
    make("bert").save(tmp_path / "plain")
    torch.manual_seed(0)
    modules = [Transformer(str(tmp_path / "plain")), Pooling(WIDTH, "cls"), Dense(WIDTH, 2, module_output_name="scores")]
    peer = CrossEncoder(modules=modules, device="cpu")
    peer.save_pretrained(str(tmp_path / "st"))
    ours = load_cross_encoder(tmp_path / "st")
    assert ours.num_labels == 2
    same(ours, peer, softmax=True)
    ours.save(tmp_path / "back")
    same(ours, theirs(tmp_path / "back"))
    same(load_cross_encoder(tmp_path / "back"), peer)


def test_what_scores_no_pairs_is_one_sentence(tmp_path: Path) -> None:
    encoder(tmp_path, Pooling(WIDTH))
    with pytest.raises(ModelError, match="load it with load_sentence_encoder"):
        load_cross_encoder(tmp_path / "st")
    with pytest.raises(ModelError, match="is a BertModel, which has no trained head"):
        load_cross_encoder(tmp_path / "plain")
    with pytest.raises(ModelError, match="no head that scores"):
        Ours(make("bert"))
    three = Ours(make("bert", "classify", num_labels=3))
    with pytest.raises(UsageError, match="3 labels, so it does not rank"):
        three.rank("a", ["b"])
    for wrong in (["ab"], [("a",)], [("a", "b", "c")]):
        with pytest.raises(UsageError, match="is not a pair"):
            three.predict(wrong)
    folder = three.save(tmp_path / "ce")
    with pytest.raises(ModelError, match="load it with load_cross_encoder"):
        load_sentence_encoder(folder)
    config = json.loads((folder / "config_sentence_transformers.json").read_text("utf-8"))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({**config, "activation_fn": "os.system"}))
    with pytest.raises(ModelError, match="only classes of torch"):
        load_cross_encoder(folder)
    (folder / "sentence_bert_config.json").write_text('{"transformer_task": "text-generation"}')
    with pytest.raises(ModelError, match="text-generation, which is not known"):
        load_cross_encoder(folder)
