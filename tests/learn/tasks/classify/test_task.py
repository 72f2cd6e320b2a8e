"""The task from rows to a folder and back: several labels, numbers, pairs, refusals, windows, teachers; read by transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks import open_trained
from maskfork.learn.tasks.classify import TASK, Sorter
from maskfork.learn.tasks.classify.examples import Labelled
from maskfork.learn.tasks.classify.losses import loss_of
from maskfork.learn.tasks.classify.settings import ClassifySettings
from maskfork.learn.tasks.common.contract import Split
from tests.learn.tiny import make, sentences

QUICK: dict[str, Any] = {"epochs": 12, "learning_rate": 3e-3, "min_steps": 0, "precision": "fp32", "batch_size": 16}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert").save(tmp_path_factory.mktemp("base"))


def labelled(count: int, seed: int = 0, before: str = "") -> Labelled:
    texts, labels = sentences(count, seed)
    return Labelled("single", tuple(before + t for t in texts), None, labels.astype(np.int64), ("bad", "good"))


def train(base: Path, rows: Labelled, folder: Path | None = None, **settings: Any) -> Sorter:
    made = TASK.train(base, Split(rows, None, None), ClassifySettings(**{**QUICK, **settings}))
    if folder is not None:
        made.save(folder)
        again = open_trained(folder)
        assert isinstance(again, Sorter)
        assert (again.problem, again.rules, again.reading) == (made.problem, made.rules, made.reading)
        some = [
            {"text": t} if rows.pairs is None else {"text": t, "pair": p}
            for t, p in zip(rows.texts[:5], rows.pairs or rows.texts, strict=False)
        ]
        assert again.predict(some) == made.predict(some)
    return made


def several(count: int, seed: int) -> Labelled:
    texts, labels = sentences(count, seed)
    targets = np.stack([labels == 0, labels == 1, ["camera" in t for t in texts]], axis=1)
    return Labelled("multi", tuple(texts), None, targets, ("bad", "good", "camera"))


def test_several_labels(base: Path, tmp_path: Path) -> None:
    made = train(base, several(300, 0), tmp_path, epochs=12, validation_share=0.2)
    scores = made.evaluate(several(200, 9))
    assert scores.values["macro_f1"].value > 0.75
    assert scores.main == "macro_f1"
    assert made.rules.thresholds is not None
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.problem_type == "multi_label_classification"
    given = AutoTokenizer.from_pretrained(tmp_path)("a lovely camera", return_tensors="pt")
    with torch.no_grad():
        probs = theirs(**given).logits.sigmoid()[0]
    (answer,) = made.predict([{"text": "a lovely camera"}])
    np.testing.assert_allclose(list(answer["probabilities"].values()), probs, atol=1e-5)
    held = zip(made.label_names, probs.tolist(), made.rules.thresholds, strict=True)
    assert answer["labels"] == [name for name, p, least in held if p >= least]


def test_a_number_in_its_own_scale(base: Path, tmp_path: Path) -> None:
    def rows(count: int, seed: int) -> Labelled:
        texts, labels = sentences(count, seed)
        noise = np.random.default_rng(seed).normal(0, 5, count)
        return Labelled("regression", tuple(texts), None, 100.0 + 50.0 * labels + noise, ("price",))

    made = train(base, rows(400, 0), tmp_path, coverage=0.9)
    scores = made.evaluate(rows(300, 9))
    assert scores.values["pearson"].value > 0.95
    assert 20 < scores.values["mse"].low < scores.values["mse"].high < 90
    assert scores.values["range_coverage"].high > 0.9
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        said = theirs(**AutoTokenizer.from_pretrained(tmp_path)("a lovely film", return_tensors="pt")).logits
    (answer,) = made.predict([{"text": "a lovely film"}])
    assert said.item() == pytest.approx(answer["score"], abs=1e-3)
    assert 140 < answer["score"] < 160


def test_pairs_sets_and_abstention(base: Path, tmp_path: Path) -> None:
    texts, labels = sentences(500, 1)
    noisy = np.where(np.random.default_rng(0).random(500) < 0.15, 1 - labels, labels).astype(np.int64)
    rows = Labelled("single", tuple(sentences(500, 2)[0]), tuple(texts), noisy, ("bad", "good"))
    made = train(base, rows, tmp_path, coverage=0.8, max_error=0.45, validation_share=0.2, epochs=6)
    scores = made.evaluate(rows)
    assert {"set_coverage", "answered", "error_of_answered"} <= scores.values.keys()
    with pytest.raises(DataError, match='row 2 has no "pair"'):
        made.predict([{"text": "a", "pair": "b"}, {"text": "a"}])


def test_rows_that_calibrate_are_not_trained_on(base: Path) -> None:
    made = train(base, labelled(400), epochs=1, coverage=0.9)
    assert made.rules.sets is not None
    assert made.rules.sets.rows == 40
    with pytest.raises(DataError, match="need 99 rows that nothing else sees, and 100 rows give 10"):
        train(base, labelled(100), coverage=0.99)


def test_a_cut_text_says_what_it_lost(base: Path, tmp_path: Path) -> None:
    long = "the plot of the film " * 10
    cut = train(base, labelled(60, 0, long), tmp_path, max_length=32, epochs=1)
    (text,) = labelled(1, 9, long).texts
    assert cut.predict([{"text": text}])[0]["tokens_lost"] == len(cut.reader.model.tokenizer.encode(text)) - 32
    assert any("tokens" in note and "were cut from their ends" in note for note in cut.notes)
    with pytest.raises(DataError, match="60 of 60 texts are longer than 32 tokens"):
        train(base, labelled(60, 0, long), max_length=32, on_long="error")


@pytest.mark.slow
@pytest.mark.parametrize("aggregate", ["mean", "attention"])
def test_windows_learn_what_stands_after_the_limit(base: Path, aggregate: str) -> None:
    """The word that decides stands after the limit: windows find it, and a text that is cut is answered by chance."""
    before = "the plot of the film " * 5
    kept: dict[str, Any] = {"max_length": 24, "epochs": 12}
    found = train(base, labelled(300, 0, before), on_long="chunk", aggregate=aggregate, **kept)
    assert found.evaluate(labelled(100, 9, before)).values["accuracy"].value > 0.9
    if aggregate == "mean":
        cut = train(base, labelled(300, 0, before), **kept)
        assert 0.35 < cut.evaluate(labelled(100, 9, before)).values["accuracy"].value < 0.65


@pytest.mark.parametrize("aggregate", ["max", "mean", "attention", "first"])
def test_every_way_to_join_windows(base: Path, tmp_path: Path, aggregate: str) -> None:
    long = labelled(60, 0, "the plot of the film " * 6)
    made = train(base, long, tmp_path, on_long="chunk", aggregate=aggregate, max_length=24, epochs=1)
    (lost,) = (a["tokens_lost"] for a in made.predict([{"text": long.texts[0]}]))
    assert (lost > 0) == (aggregate == "first")
    assert any("no token is lost" in note for note in made.notes) == (aggregate != "first")


def test_a_student_learns_from_its_teacher(base: Path, tmp_path: Path) -> None:
    """With labels that are all wrong and the teacher alone in the loss, the student answers as the teacher does."""
    train(base, labelled(300), tmp_path / "teacher", epochs=9)
    rows = labelled(300, 5)
    wrong = Labelled(rows.problem, rows.texts, None, 1 - rows.targets, rows.label_names)
    more: dict[str, Any] = {"teacher": str(tmp_path / "teacher"), "soft": 1.0, "validation_share": 0.0, "student": "layers"}
    made = train(base, wrong, hidden=1.0, stages="2", **{**more, "epochs": 4})
    assert made.evaluate(labelled(200, 9)).values["accuracy"].value > 0.9
    assert made.reader.model.spec.main.depth == 1
    assert any(note.startswith("stage 1: states and attention") for note in made.notes)
    with pytest.raises(UsageError, match="take a teacher that was trained on the same labels"):
        train(base, several(60, 0), **more)
    with pytest.raises(UsageError, match="speak of a teacher"):
        ClassifySettings(stages="2")


def test_a_cut_off_training_goes_on(base: Path, tmp_path: Path) -> None:
    settings = ClassifySettings(**{**QUICK, "epochs": 2})
    whole = TASK.train(base, Split(labelled(100), None, None), settings, work=tmp_path)
    again = TASK.train(base, Split(labelled(100), None, None), settings, work=tmp_path)
    np.testing.assert_array_equal(whole.logits(["a lovely film"]), again.logits(["a lovely film"]))


def test_an_adapter(base: Path, tmp_path: Path) -> None:
    made = train(base, labelled(200), tmp_path, adapter="lora", epochs=8, learning_rate=1e-2)
    assert made.evaluate(labelled(100, 9)).values["accuracy"].value > 0.65


def test_settings_that_do_not_fit(base: Path) -> None:
    with pytest.raises(UsageError, match="coverage is for one label"):
        train(base, several(60, 0), coverage=0.9)
    with pytest.raises(UsageError, match="out_of_scope and max_error are for one label"):
        train(base, several(60, 0), max_error=0.1)
    with pytest.raises(UsageError, match="between 0 and 1"):
        ClassifySettings(coverage=95.0)


def test_focal_loss_by_hand() -> None:
    logits, truth = torch.tensor([[2.0, 0.0, -1.0], [0.1, 0.2, 0.0]]), torch.tensor([0, 2])
    settings = ClassifySettings()
    p = logits.softmax(-1)[[0, 1], truth]
    assert loss_of("single", truth.numpy(), 3, settings, 2.0)(logits, truth).item() == pytest.approx(
        (-((1 - p) ** 2) * p.log()).mean().item()
    )
    marks = torch.tensor([[True, False, True], [False, False, True]])
    q = torch.where(marks, logits.sigmoid(), 1 - logits.sigmoid())
    found = loss_of("multi", marks.numpy(), 3, settings, 2.0)(logits, marks)
    assert found.item() == pytest.approx((-((1 - q) ** 2) * q.log()).mean().item())
    with pytest.raises(UsageError, match="this is a regression"):
        loss_of("regression", np.zeros(2), 1, settings, 1.0)


def test_the_folder_says_what_it_is(base: Path, tmp_path: Path) -> None:
    train(base, labelled(60), tmp_path, epochs=1, max_length=20)
    said = json.loads((tmp_path / "maskfork.json").read_text("utf-8"))
    assert (said["kind"], said["classify"]["problem"], said["classify"]["reading"]["max_length"]) == ("classify", "single", 20)


def test_several_labels_start_at_their_shares(base: Path, tmp_path: Path) -> None:
    """The first answers of a fresh head are each label's share of the rows; a head that has learnt is left as it is."""
    texts, labels = sentences(200, 6)
    rng = np.random.default_rng(0)
    targets = np.stack([labels == 1, rng.random(200) < 0.1, rng.random(200) < 0.02], axis=1)
    rows = Labelled("multi", tuple(texts), None, targets, ("good", "some", "few"))
    made = train(base, rows, learning_rate=1e-12, epochs=0.01, validation_share=0.0)
    said = 1.0 / (1.0 + np.exp(-made.logits(rows.texts)))
    assert np.abs(said.mean(0) - targets.mean(0)).max() < 0.02
    assert made.record is not None
    start = made.record.losses[0]
    shares = targets.mean(0)
    assert start == pytest.approx(float(-(shares * np.log(shares) + (1 - shares) * np.log(1 - shares)).mean()), abs=0.1)
    folder = made.save(tmp_path / "once")
    turned = Labelled("multi", rows.texts, None, ~targets, rows.label_names)
    again = train(folder, turned, learning_rate=1e-12, epochs=0.01, validation_share=0.0)
    assert np.abs(again.logits(rows.texts) - made.logits(rows.texts)).max() < 1e-3
