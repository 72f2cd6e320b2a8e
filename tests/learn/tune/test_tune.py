"""The search: only train rows are seen, the defaults come first, poor trials stop early, and a second sitting goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks.common.contract import Answer, Progress, Role, Scores, Sources, Split, Task, Trained
from maskfork.learn.tasks.common.settings import TaskSettings, settings_of
from maskfork.learn.tune.job import write_settings
from maskfork.learn.tune.rows import compared_on, labels_of, rungs
from maskfork.learn.tune.space import space_for
from maskfork.learn.tune.study import Found, search
from maskfork.measure.intervals import Interval


@dataclass(frozen=True)
class Numbers:
    """Rows that know their own numbers."""

    ids: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, indices: np.ndarray) -> Numbers:
        return Numbers(self.ids[indices], self.labels[indices])


class Guess(Trained):
    task: ClassVar[str] = "toy"

    def __init__(self, score: float, seen: list[np.ndarray]) -> None:
        self.score, self.seen, self.notes = score, seen, []

    def predict(self, rows: Sequence[Mapping[str, Any]]) -> list[Answer]:
        return [{} for _ in rows]

    def evaluate(self, examples: Any) -> Scores:
        self.seen.append(examples.ids)
        return Scores("accuracy", {"accuracy": Interval(self.score, self.score - 0.1, self.score + 0.1)}, len(examples))

    def save(self, folder: Path) -> Path:
        return folder


@dataclass
class Toy(Task[Numbers]):
    """Best at a learning rate of 2e-4; remembers which rows it was shown."""

    name: ClassVar[str] = "toy"
    about: ClassVar[str] = "a toy"
    roles: ClassVar[tuple[Role, ...]] = ()
    trained_on: list[np.ndarray] = field(default_factory=list)
    judged_on: list[np.ndarray] = field(default_factory=list)
    fails_above: float = 1.0

    def read(self, sources: Sources, settings: TaskSettings) -> Split[Numbers]:
        raise AssertionError("not here")

    def train(
        self,
        base: str | Path,
        split: Split[Numbers],
        settings: TaskSettings,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        work: Path | None = None,
    ) -> Trained:
        assert split.test is None
        assert settings.learning_rate is not None
        if settings.learning_rate > self.fails_above:
            raise UsageError("the loss is lost")
        self.trained_on.append(split.train.ids)
        if progress is not None:
            progress(0.5, "step")
        off = abs(np.log10(settings.learning_rate / 2e-4))
        return Guess(float(0.9 - 0.2 * off - 0.0001 * (2000 - len(split.train)) / 100), self.judged_on)

    def open(self, folder: Path) -> Trained:
        raise AssertionError("not here")


def rows(count: int, start: int = 0) -> Numbers:
    return Numbers(np.arange(start, start + count), np.arange(count) % 3)


def run(toy: Toy, folder: Path, split: Split[Numbers], *, most: int, minutes: float = 1.0, seed: int = 0) -> Found:
    settings = TaskSettings(learning_rate=5e-5)
    space = space_for(settings, labels_of(split.train), [])
    return search(toy, "base", split, settings, space, minutes=minutes, storage=folder / "s.db", name="n", seed=seed, most=most)


def test_only_train_rows_are_seen_and_the_best_is_no_worse_than_the_defaults(tmp_path: Path) -> None:
    toy, split = Toy(), Split(rows(1000), None, rows(100, 5000))
    found = run(toy, tmp_path, split, most=10)
    assert found.tries[0].settings["learning_rate"] == 5e-5
    assert found.best.score is not None
    assert found.tries[0].score is not None
    assert found.best.score >= found.tries[0].score
    assert found.best.state == "complete"
    assert any(one.state == "pruned" and one.rows < 800 for one in found.tries)
    judged = set(np.concatenate(toy.judged_on).tolist())
    assert max(np.concatenate(toy.trained_on)) < 5000
    assert max(judged) < 5000
    assert not judged & set(np.concatenate(toy.trained_on).tolist())
    assert found.rows == 200


def test_a_second_sitting_goes_on_and_knows_what_was_spent(tmp_path: Path) -> None:
    split = Split(rows(300), None, None)
    first = run(Toy(), tmp_path, split, most=3)
    toy = Toy()
    second = run(toy, tmp_path, split, most=5)
    assert [one.settings for one in second.tries[:3]] == [one.settings for one in first.tries]
    assert len(second.tries) == 5
    assert len(toy.trained_on) == 2
    assert second.seconds > first.seconds
    idle = Toy()
    assert run(idle, tmp_path, split, most=9, minutes=1e-6).best == second.best
    assert idle.trained_on == []


def test_the_first_trial_is_made_whatever_the_minutes(tmp_path: Path) -> None:
    found = run(Toy(), tmp_path, Split(rows(300), None, None), most=50, minutes=1e-9)
    assert [one.state for one in found.tries] == ["complete"]


def test_a_trial_that_fails_is_told_and_others_go_on(tmp_path: Path) -> None:
    found = run(Toy(fails_above=1e-4), tmp_path, Split(rows(300), None, None), most=7)
    failed = [one for one in found.tries if one.state == "failed"]
    assert failed
    assert {one.why for one in failed} == {"the loss is lost"}
    assert found.best.settings["learning_rate"] <= 1e-4
    (tmp_path / "b").mkdir()
    with pytest.raises(UsageError, match="no trial could be trained: the loss is lost"):
        run(Toy(fails_above=0.0), tmp_path / "b", Split(rows(300), None, None), most=10)


def test_rows_to_compare_on_and_parts_to_train_on() -> None:
    train, held = compared_on(Split(rows(900), None, None), 0)
    assert (len(train), len(held)) == (720, 180)
    assert np.bincount(held.labels).tolist() == [60, 60, 60]
    given = rows(50, 9000)
    assert compared_on(Split(rows(900), given, None), 0)[1] is given
    parts = rungs(train, 0)
    assert [len(part) for part in parts] == [240, 720]
    assert set(parts[0].ids.tolist()) < set(parts[1].ids.tolist())
    assert [len(part) for part in rungs(rows(5400), 0)] == [600, 1800, 5400]
    assert len(rungs(rows(300), 0)) == 1
    with pytest.raises(DataError, match="too few"):
        compared_on(Split(rows(60), None, None), 0)


def test_what_is_searched() -> None:
    even, skewed = np.arange(90) % 3, np.repeat([0, 1], [80, 10])
    assert "class_weight" not in space_for(TaskSettings(), even, [])
    assert "class_weight" in space_for(TaskSettings(), skewed, [])
    assert "label_smoothing" not in space_for(TaskSettings(), None, [])
    assert set(space_for(TaskSettings(), even, ["epochs"], ["epochs", "learning_rate"])) == {"learning_rate"}
    with pytest.raises(UsageError, match="is not searched"):
        space_for(TaskSettings(), even, [], ["rank"])
    with pytest.raises(UsageError, match="leave one of them open"):
        space_for(TaskSettings(), even, ["epochs"], ["epochs"])


def test_best_settings_are_options_of_train(tmp_path: Path) -> None:
    from maskfork.cli.config import read_config
    from maskfork.learn.tasks.common.settings import assignments

    chosen = {"learning_rate": 0.0002, "epochs": 3.0, "batch_size": 16, "warmup": 0.06, "class_weight": None}
    write_settings(tmp_path / "best.yaml", chosen, "base", Sources(Path("d.csv"), columns={"text": "body"}), 7)
    read = read_config(tmp_path / "best.yaml")
    assert read["column"] == ["text=body"]
    options = {key: read[key] for key in ("learning_rate", "epochs", "batch_size")}
    again = settings_of(TaskSettings, options | assignments(read["set"]))
    assert again == TaskSettings(learning_rate=0.0002, epochs=3.0, batch_size=16, warmup=0.06)


def test_labels_of_the_real_rows() -> None:
    from maskfork.learn.tasks.classify.examples import NO_LABEL, Labelled

    targets = np.array([0, 1, NO_LABEL] * 200)
    single = Labelled("single", tuple(f"text {i}" for i in range(600)), None, targets, ("a", "b"))
    found = labels_of(single)
    assert found is not None
    assert np.bincount(found).tolist() == [200, 200]
    train, held = compared_on(Split(single, None, None), 0)
    assert np.unique(held.targets, return_counts=True)[1].tolist() == [40, 40, 40]
    assert [len(part) for part in rungs(train, 0)] == [480]
    several = Labelled("multi", single.texts, None, np.ones((600, 2), dtype=bool), ("a", "b"))
    assert labels_of(several) is None
    assert len(compared_on(Split(several, None, None), 0)[1]) == 120
