"""A student learns what its teacher says: on rows whose labels say nothing, it can have it from nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskfork.errors import UsageError
from maskfork.learn.tasks import all_tasks
from maskfork.learn.tasks.common.contract import Sources, Split, Trained
from maskfork.learn.tasks.common.settings import settings_of
from tests.learn.tiny import BAD, GOOD, make, sentences

ROWS = 96
TEXTS, LABELS = sentences(ROWS, 3)
ASKED = sentences(60, 4)[0]
WITH = {"min_steps": 160, "epochs": 8, "learning_rate": 3e-3, "batch_size": 16, "precision": "fp32", "validation_share": 0.0}


def rows(name: str) -> list[dict[str, Any]]:
    """Rows in which one word decides: of two labels, two intents, a tag on that word."""
    found: list[dict[str, Any]] = []
    for i, (text, label) in enumerate(zip(TEXTS, LABELS.tolist(), strict=True)):
        words = text.split()
        tags = ["B-GOOD" if w in GOOD else "B-BAD" if w in BAD else "O" for w in words]
        answer = ("bad", "good")[label]
        found.append({
            "tag": {"tokens": words, "tags": tags},
            "intent-slots": {"tokens": words, "slots": tags, "intent": answer},
            "embed": {"text": text, "label": next(w for w in words if w in GOOD or w in BAD)},
            "rerank": {"query": f"film {i % 12}", "document": text, "label": label},
        }[name])  # fmt: skip
    return found


def trained(name: str, file: Path, base: Path, **given: Any) -> tuple[Trained, Split[Any]]:
    task = all_tasks()[name]
    steps = {"min_steps": 30} if name == "rerank" else {}
    settings = settings_of(task.settings, {**WITH, **given, **steps})
    split = task.read(Sources(file, test=file), settings)
    split = Split(task.read(Sources(file), settings).train, None, split.test)
    return task.train(base, split, settings), split


def said(name: str, made: Trained) -> np.ndarray:
    """What a model says of new texts, as numbers."""
    if name == "rerank":
        return np.array([a["score"] for a in made.predict([{"query": "film 1", "document": t} for t in ASKED])])
    answers = made.predict([{"text": t} for t in ASKED])
    if name == "embed":
        unit = np.array([a["vector"] for a in answers])
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        return (unit @ unit.T)[np.triu_indices(len(unit), 1)]
    spans = [[(s["start"], s["label"]) for s in a["slots" if name == "intent-slots" else "spans"]] for a in answers]
    words = [dict(row) for row in spans]
    return np.array([{"GOOD": 1.0, "BAD": -1.0}[next(iter(w.values()))] if len(w) == 1 else 0.0 for w in words])


@pytest.mark.parametrize("name", ["rerank", *(pytest.param(n, marks=pytest.mark.slow) for n in ("tag", "intent-slots", "embed"))])
def test_a_student_takes_after_its_teacher(name: str, tmp_path: Path) -> None:
    true = tmp_path / "true.jsonl"
    true.write_text("".join(json.dumps(row) + "\n" for row in rows(name)), "utf-8")
    base = make("bert").save(tmp_path / "base")
    teacher, _ = trained(name, true, base)
    folder = teacher.save(tmp_path / "teacher")
    rng = np.random.default_rng(0)
    blind = []
    for row in rows(name):  # labels that follow nothing
        key = {"tag": "tags", "intent-slots": "slots"}.get(name, "label")
        value: Any = rng.permutation(row[key]).tolist() if isinstance(row[key], list) else int(rng.integers(2))
        blind.append({**row, key: str(rng.choice([*GOOD, *BAD])) if name == "embed" else value})
    false = tmp_path / "false.jsonl"
    false.write_text("".join(json.dumps(row) + "\n" for row in blind), "utf-8")
    alone, _ = trained(name, false, base)
    taught, _ = trained(name, false, base, teacher=str(folder), soft=1.0, min_steps=240)
    wanted = said(name, teacher)
    like = [np.corrcoef(said(name, made) + 1e-9 * np.arange(len(wanted)), wanted)[0, 1] for made in (alone, taught)]
    assert like[1] > 0.8
    assert like[1] > like[0] + 0.2


def test_a_teacher_of_other_labels_is_declined(tmp_path: Path) -> None:
    true = tmp_path / "true.jsonl"
    true.write_text("".join(json.dumps(row) + "\n" for row in rows("tag")), "utf-8")
    base = make("bert").save(tmp_path / "base")
    folder = make("bert", "tag", labels=("O", "B-X", "I-X")).save(tmp_path / "other")
    with pytest.raises(UsageError, match="same labels"):
        trained("tag", true, base, teacher=str(folder))
