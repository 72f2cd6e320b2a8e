"""Intents and slots by one model: learnt together, scored together, saved together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoModelForTokenClassification

from maskfork.errors import DataError, ModelError
from maskfork.learn.tasks.common.contract import Sources, Split
from maskfork.learn.tasks.intent_slots import TASK
from maskfork.learn.tasks.intent_slots.commands import Commands, read_commands
from maskfork.learn.tasks.intent_slots.joint import Understander
from maskfork.learn.tasks.tag.settings import TagSettings
from tests.learn.tasks.tag.test_tag import rows as tagged
from tests.learn.tiny import make

QUICK = TagSettings(epochs=8, min_steps=0, precision="fp32", learning_rate=4e-3, validation_min=20)


def rows(count: int, seed: int = 0) -> Commands:
    """The intent says whether there is any good word."""
    data = tagged(count, seed, longest=4)
    return Commands(data, tuple("praise" if any(s.label == "GOOD" for s in spans) else "blame" for spans in data.spans))


def test_it_learns_both_and_saves_both(tmp_path: Path) -> None:
    made = TASK.train(make("bert").save(tmp_path / "base"), Split(rows(300), None, None), QUICK)
    scores = made.evaluate(rows(80, 7))
    assert scores.main == "exact"
    assert scores.values["intent_accuracy"].value > 0.9
    assert scores.values["slot_f1"].value > 0.9
    assert scores.values["exact"].value <= scores.values["intent_accuracy"].value
    (answer,) = made.predict([{"text": "the lovely funny plot of a dull film"}])
    assert answer["intent"] == "praise"
    assert [(s["text"], s["label"]) for s in answer["slots"]] == [("lovely funny", "GOOD"), ("dull", "BAD")]
    assert answer["tokens_lost"] == 0
    folder = made.save(tmp_path / "made")
    given = [{"text": t} for t in rows(5, 3).tagged.texts]
    assert TASK.open(folder).predict(given) == made.predict(given)
    assert AutoModelForTokenClassification.from_pretrained(folder).config.num_labels == 5
    with pytest.raises(ModelError, match="has no intents"):
        Understander.open(tmp_path / "base")


def test_three_files_of_a_folder_and_tables(tmp_path: Path) -> None:
    for name, text in {"seq.in": "play jazz now \nstop\n", "seq.out": "O B-genre O \nO\n", "label": "Play\nStop\n"}.items():
        (tmp_path / name).write_text(text)
    found, notes = read_commands(tmp_path, {})
    assert found.intents == ("Play", "Stop")
    assert found.tagged.texts == ("play jazz now", "stop")
    assert [[s.label for s in row] for row in found.tagged.spans] == [["genre"], []]
    assert "the tags are IOB2" in " ".join(notes)
    lines = [
        {"tokens": ["play", "jazz"], "slots": ["O", "B-genre"], "intent": "Play"},
        {"tokens": ["stop"], "slots": ["O"], "intent": "Stop"},
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    assert read_commands(tmp_path / "a.jsonl", {})[0].intents == ("Play", "Stop")
    (tmp_path / "label").write_text("Play\n")
    with pytest.raises(DataError, match="differ in their number of lines"):
        read_commands(tmp_path, {})
    (tmp_path / "label").unlink()
    with pytest.raises(DataError, match="lacks label"):
        read_commands(tmp_path, {})


def test_snips(data_dir: Path) -> None:
    folder = data_dir / "intent_slots" / "snips"
    if not folder.is_dir():
        pytest.skip("SNIPS is not in the data folder")
    split = TASK.read(Sources(folder / "train", test=folder / "dev"), TagSettings())
    assert split.test is not None
    assert (len(split.test), len(set(split.train.intents)), len(split.train.tagged.label_names())) == (700, 7, 39)
