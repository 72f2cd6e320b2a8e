"""Training an adapter: the base keeps its bytes, what trains is counted, a folder comes out that loads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from maskfork.errors import UsageError
from maskfork.learn.adapt import NAMES, adapt, by_name, rate_for, rate_on
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.classify import Classifier
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.models import families
from maskfork.models.adapters import LoRA, Prefix, QLoRA
from maskfork.models.hub import build, load
from maskfork.models.quantised import NF4
from maskfork.models.tokenizers import train_tokenizer


def test_names_and_their_settings() -> None:
    assert by_name("lora:rank=4,targets=query+value") == LoRA(rank=4, targets=("query", "value"))
    assert by_name("dora") == LoRA(dora=True)
    assert by_name("qlora:block=128,rank=2") == QLoRA(rank=2, base=NF4(block=128))
    assert by_name("prefix", {"length": 7}) == Prefix(7)
    for wrong, cure in (
        ("lore", "did you mean lora"),
        ("ia3:rank=3", "no setting 'rank'"),
        ("lora:rank=x", "is a number"),
        ("lora:r", "name=value"),
    ):
        with pytest.raises(UsageError, match=cure):
            by_name(wrong)
    for name in NAMES:
        assert rate_for(by_name(name), TaskSettings()) > TaskSettings().rate(768)
        assert rate_for(by_name(name), TaskSettings(learning_rate=2e-5)) == 2e-5


def test_the_base_is_frozen_and_memory_is_counted() -> None:
    tiny = families.family_of({"model_type": "bert"}).tiny[0]
    model = build({**tiny, "model_type": "bert"}, "classify")
    made = adapt(model, LoRA(rank=2, targets=("query", "value")))
    head = sum(p.numel() for p in model.head.parameters())  # type: ignore[union-attr]
    per_map = 2 * 32 + 32 * 2
    assert made.after.parameters == 2 * 2 * per_map + head
    assert made.after.parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert made.after.optimiser == 8 * made.after.parameters
    assert made.before.parameters == sum(p.numel() for p in build({**tiny, "model_type": "bert"}, "classify").parameters())
    assert made.after.all < made.before.all
    assert f"{made.after.parameters:,} numbers train" in made.report()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a tokenizer of its own."""
    folder = tmp_path_factory.mktemp("base")
    words = [f"{a} {b}" for a in ("good", "bad", "fine", "poor") for b in ("film", "book", "meal", "day")]
    (folder / "corpus.txt").write_text("\n".join(words * 20))
    tokenizer = train_tokenizer([folder / "corpus.txt"], "wordpiece", vocab_size=60)
    tiny = families.family_of({"model_type": "bert"}).tiny[0]
    model = build({**tiny, "model_type": "bert", "vocab_size": tokenizer.size}, "none")
    model.tokenizer = tokenizer
    for p in model.parameters():  # fresh weights are so small that a first token hears nothing of the others
        p.data *= 8.0 if p.dim() > 1 else 1.0
    return model.save(folder / "model")


TEXTS = tuple(f"{a} {b}" for a in ("good", "fine", "bad", "poor") for b in ("film", "book", "meal", "day"))
ROWS = Rows(TEXTS, None, np.array([0] * 8 + [1] * 8), ("good", "bad"), np.arange(16))


@pytest.mark.parametrize("name", [*NAMES, "lora:targets="])
def test_a_task_trains_an_adapter_and_its_folder_loads(name: str, base: Path, tmp_path: Path) -> None:
    before = {n: t.clone() for n, t in load(base).tensors().items()}
    settings = TaskSettings(epochs=4, min_steps=1, batch_size=8, adapter=name, precision="fp32")
    made = Classifier.train(base, ROWS, settings=settings)
    assert made.record is not None
    assert np.isfinite(made.record.losses).all()
    fresh = load(base, "classify", labels=["good", "bad"])
    adapt(fresh, by_name(name))
    start = dict(fresh.named_parameters())
    moved = [n for n, p in made.model.named_parameters() if p.requires_grad and not torch.equal(p, start[n])]
    assert len(moved) == sum(p.requires_grad for p in made.model.parameters())
    assert any("numbers train" in note for note in made.notes)
    if not name.startswith("qlora"):  # its base is held otherwise
        after = made.model.tensors()
        assert all(torch.equal(after[n], before[n]) for n in before if not n.startswith("head."))
    folder = made.save(tmp_path / "out")
    assert not list(folder.glob("model*.safetensors"))
    again = Classifier.open(folder)
    assert again.label_names == ("good", "bad")
    assert np.abs(again.predict(ROWS.texts) - made.predict(ROWS.texts)).max() < 1e-5


def test_the_rate_is_known_before_a_base_is_loaded(base: Path, tmp_path: Path) -> None:
    made = Classifier.train(base, ROWS, settings=TaskSettings(adapter="ia3", epochs=1, min_steps=1, precision="fp32"))
    folder = made.save(tmp_path / "out")
    (folder / "config.json").unlink()  # as peft writes it
    usual = TaskSettings()
    width = load(base).spec.hidden_size
    assert rate_on(base, None, usual) == usual.rate(width)
    assert rate_on(base, "lora", usual) == rate_for(by_name("lora"), usual)
    assert rate_on(folder, None, usual) == rate_for(by_name("ia3"), usual)
    assert rate_on(folder, None, TaskSettings(learning_rate=2e-5)) == 2e-5


def test_merged_is_a_whole_model(base: Path, tmp_path: Path) -> None:
    settings = TaskSettings(epochs=5, min_steps=1, batch_size=8, adapter="lora:rank=2", merge=True)
    made = Classifier.train(base, ROWS, settings=settings)
    folder = made.save(tmp_path / "out")
    assert (folder / "model.safetensors").is_file()
    assert not (folder / "adapter_config.json").is_file()
    assert np.abs(Classifier.open(folder).predict(ROWS.texts) - made.predict(ROWS.texts)).max() < 1e-5
    with pytest.raises(UsageError, match="virtual tokens"):
        Classifier.train(base, ROWS, settings=TaskSettings(adapter="prefix", merge=True))
    with pytest.raises(UsageError, match="none is trained"):
        Classifier.train(base, ROWS, settings=TaskSettings(merge=True))


@pytest.mark.parametrize("name", ["prefix:length=9", "prompt:length=9"])
def test_virtual_tokens_leave_texts_that_fit(name: str, base: Path, tmp_path: Path) -> None:
    """A text over the limit is cut so far that it and the virtual tokens have places, in training as in use."""
    texts = tuple(f"{text} " * 60 for text in TEXTS)
    settings = TaskSettings(epochs=1, min_steps=1, batch_size=8, adapter=name, precision="fp32")
    made = Classifier.train(base, replace(ROWS, texts=texts), settings=settings)
    most = made.model.spec.max_length
    assert most is not None
    assert made.model.longest == made.max_length == most - 9
    assert any(f"longer than {most - 9} tokens" in note for note in made.notes)
    assert made.tokens_lost(texts) == Classifier.open(made.save(tmp_path / "out")).tokens_lost(texts)
    assert np.isfinite(made.predict(texts)).all()
