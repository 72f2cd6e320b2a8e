"""Few-shot: the contrastive way beats the frozen encoder on a tiny model, its folder answers alike, and few rows get advice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from maskfork.errors import DataError
from maskfork.learn.tasks.common.contract import Sources, Split
from maskfork.learn.tasks.few_shot import TASK
from maskfork.learn.tasks.few_shot.propose import propose
from maskfork.learn.tasks.few_shot.settings import FewShotSettings
from tests.learn.tiny import make, rows

HOW = dict(learning_rate=3e-3, steps_wanted=60)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return make("bert").save(tmp_path / "base")


def test_it_learns_more_than_the_frozen_encoder_and_its_folder_answers_alike(base: Path, tmp_path: Path) -> None:
    split = Split(rows(160), None, rows(200, seed=1))
    scores = {}
    for way in ("probe", "contrastive"):
        made = TASK.train(base, split, FewShotSettings(way=way, **HOW))
        scores[way] = made.evaluate(split.test)
    assert scores["contrastive"].values["accuracy"].value > scores["probe"].values["accuracy"].value + 0.1
    assert scores["contrastive"].values["accuracy"].low > 0.5
    again = TASK.open(made.save(tmp_path / "out"))
    asked = [{"text": text} for text in split.test.texts[:20]]
    for ours, theirs in zip(made.predict(asked), again.predict(asked), strict=True):
        assert ours["label"] == theirs["label"]
        assert ours["tokens_lost"] == 0
        assert sum(ours["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)


def test_one_seed_gives_one_model(base: Path) -> None:
    split = Split(rows(24), None, None)
    how = FewShotSettings(learning_rate=1e-3, steps_wanted=4)
    first, second = (TASK.train(base, split, how, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.probe.weight, second.probe.weight)


def test_files_are_read_without_the_held_out_texts(tmp_path: Path) -> None:
    data = rows(60)
    lines = [f"{text}\t{data.label_names[label]}" for text, label in zip(data.texts, data.labels, strict=True)]
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    (tmp_path / "b.tsv").write_text("\n".join(["text\tlabel", *lines[:10]]), "utf-8")
    split = TASK.read(Sources(tmp_path / "a.tsv", test=tmp_path / "b.tsv"), FewShotSettings())
    assert len(split.test) == 10
    assert not set(split.train.texts) & set(split.test.texts)
    with pytest.raises(DataError, match="keeps no rows back"):
        TASK.read(Sources(tmp_path / "a.tsv", validation=tmp_path / "b.tsv"), FewShotSettings())


def test_a_label_that_is_not_known_counts_as_wrong(base: Path, tmp_path: Path) -> None:
    made = TASK.train(base, Split(rows(24), None, None), FewShotSettings(way="probe"))
    lines = [f"{text}\tgood" for text in rows(20, 5).texts[1::2]] + ["odd text of odd kind\tstrange"] * 10
    (tmp_path / "a.tsv").write_text("\n".join(["text\tlabel", *lines]), "utf-8")
    split = TASK.read(Sources(tmp_path / "a.tsv", test=tmp_path / "a.tsv"), FewShotSettings())
    assert (len(split.train), len(split.test)) == (0, 20)
    scores = made.evaluate(split.test)
    answers = [one["label"] for one in made.predict([{"text": text} for text in split.test.texts])]
    assert scores.values["accuracy"].value == pytest.approx(sum(answer == "good" for answer in answers[:10]) / 20)
    assert "10 rows have a label that the model does not know" in scores.notes[0]


def test_an_adapter_is_trained_alone_and_kept(base: Path, tmp_path: Path) -> None:
    made = TASK.train(base, Split(rows(24), None, None), FewShotSettings(steps_wanted=3, adapter="lora"))
    again = TASK.open(made.save(tmp_path / "out"))
    np.testing.assert_allclose(again.probe.predict(["a lovely film"]), made.probe.predict(["a lovely film"]), atol=1e-5)


def test_few_rows_get_advice_and_many_none(base: Path) -> None:
    said = propose(rows(20), base, steps=2)
    assert said is not None
    assert "20 rows of 2 labels are few: in 3-fold cross-validation" in said
    assert "--set way=" in said
    assert propose(rows(200), base) is None
    assert propose(rows(20, pairs=True), base) is None
