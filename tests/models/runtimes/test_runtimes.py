"""A folder with a runtime.json is opened with its runtime, by every task, and answers as the weights do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.errors import ModelError
from maskfork.learn.tasks import open_trained
from maskfork.learn.tasks.classify import Sorter
from maskfork.learn.tasks.classify.reading import Reading
from maskfork.learn.tasks.classify.settings import Aggregate
from maskfork.models.hub import load
from maskfork.models.runtimes.exported import Exported, open_model
from maskfork.models.runtimes.open import open_runtime
from maskfork.models.runtimes.settings import FILE, RuntimeSettings, digests, read_settings, write_settings
from maskfork.models.runtimes.whole import open_whole
from maskfork.models.sentence import SentenceEncoder, load_sentence_encoder
from tests.learn.tiny import make, sentences

TEXTS = [" ".join(sentences(30)[0][i : i + 1 + i % 4]) for i in range(26)]


def with_runtime(folder: Path, **changes: Any) -> RuntimeSettings:
    """A runtime.json for torch on the folder's own weights."""
    whole = open_whole(folder)
    said: dict[str, Any] = {"runtime": "torch", "precision": "fp32", "gives": whole.gives, "width": whole.width}
    files = digests(folder, ["model.safetensors"])
    settings = RuntimeSettings(files=files, **{**said, **changes})
    write_settings(folder, settings)
    return settings


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    return make("bert", "classify", labels=("bad", "fine", "good")).save(tmp_path / "classifier")


@pytest.mark.parametrize("streams", [1, 2])
@pytest.mark.parametrize(("precision", "near"), [("fp32", 1e-5), ("bf16", 0.05), ("int8", 0.05), ("int8+bf16", 0.1)])
def test_a_classifier_answers_through_torch(classifier: Path, precision: str, near: float, streams: int) -> None:
    wanted = Sorter.open(classifier).logits(TEXTS)
    with_runtime(classifier, precision=precision, streams=streams, batch_tokens=40, threads=streams)
    sorter = Sorter.open(classifier)
    found = sorter.logits(TEXTS)
    assert np.abs(found - wanted).max() <= near * max(1.0, np.abs(wanted).max())
    assert (precision == "fp32") == np.allclose(found, wanted, atol=1e-5)  # the others are not float32 under another name
    runtime = sorter.reader.model.runtime
    assert runtime is not None
    tokens = sum(len(sorter.reader.model.tokenizer.encode(text)) for text in TEXTS)
    assert (runtime.padding.tokens, runtime.padding.filling) == (tokens, 0)
    runtime.close()


def test_windows_are_joined_as_without_a_runtime(classifier: Path) -> None:
    long = [" ".join(TEXTS), TEXTS[0]]
    aggregates: tuple[Aggregate, ...] = ("mean", "max")
    for aggregate in aggregates:
        sorter = Sorter.open(classifier)
        sorter.reading = Reading(max_length=24, on_long="chunk", aggregate=aggregate)
        sorter.save(classifier)
        wanted = Sorter.open(classifier).logits(long)
        with_runtime(classifier)
        np.testing.assert_allclose(Sorter.open(classifier).logits(long), wanted, atol=1e-5)
        (classifier / FILE).unlink()
        (classifier / "maskfork.json").unlink()


@pytest.mark.parametrize("head", ["tag", "span"])
def test_taggers_and_readers(head: str, tmp_path: Path) -> None:
    labels = ("O", "B-X", "I-X") if head == "tag" else None
    folder = make("bert", head, labels=labels).save(tmp_path / head)
    rows: list[Mapping[str, Any]] = [
        {"text": text} if head == "tag" else {"question": "film", "context": text} for text in TEXTS[:5]
    ]
    wanted = open_trained(folder).predict(rows)
    with_runtime(folder)
    for one, other in zip(open_trained(folder).predict(rows), wanted, strict=True):
        assert one.keys() == other.keys()
        assert [s["start"] for s in one.get("spans", [])] == [s["start"] for s in other.get("spans", [])]
        assert one.get("text") == other.get("text")
        assert one.get("score") == pytest.approx(other.get("score"), abs=1e-5)


def test_a_sentence_encoder(tmp_path: Path) -> None:
    SentenceEncoder(make("bert", None)).save(tmp_path)
    wanted = load_sentence_encoder(tmp_path).encode(TEXTS)
    with_runtime(tmp_path)
    encoder = load_sentence_encoder(tmp_path)
    assert isinstance(encoder.model, Exported)
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.width)


def test_an_exported_model_says_what_it_cannot_do(classifier: Path) -> None:
    with_runtime(classifier)
    model = open_model(classifier)
    with pytest.raises(ModelError, match="exported for torch"):
        model.save(classifier.parent / "again")
    assert load(classifier).runtime is None  # who asks for weights gets them


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: (f / FILE).write_text('{"runtime": "torch", "pre'), "cannot be used"),
        (lambda f: (f / FILE).write_text((f / FILE).read_text().replace('"torch"', '"tarch"')), "cannot be used"),
        (lambda f: (f / FILE).write_text((f / FILE).read_text().replace('"streams": 1', '"streams": 0')), "at least 1"),
        (lambda f: (f / FILE).write_text((f / FILE).read_text().replace('"version": 1', '"version": 9')), "newer maskfork"),
        (lambda f: (f / "model.safetensors").unlink(), "lacks model.safetensors"),
        (lambda f: (f / "model.safetensors").open("r+b").write(b"x"), "is not the file"),
        (lambda f: (f / FILE).write_text((f / FILE).read_text().replace("model.s", "../model.s")), "lies outside"),
        (lambda f: (f / FILE).write_text((f / FILE).read_text().replace('"width": 3', '"width": 2')), "other than its runtime"),
    ],
)
def test_a_torn_or_planted_runtime_is_refused_in_a_sentence(change: Any, said: str, classifier: Path) -> None:
    with_runtime(classifier)
    assert read_settings(classifier) is not None
    change(classifier)
    with pytest.raises(ModelError, match=said):
        open_runtime(classifier)
    with pytest.raises(ModelError, match=said):
        open_trained(classifier)


def test_no_runtime_is_none(classifier: Path) -> None:
    assert open_runtime(classifier) is None
