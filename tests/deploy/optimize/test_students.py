"""Students as candidates: they learn what the model says, not what is judged, and those that cannot be are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, softmax

from maskfork.cli import main
from maskfork.deploy.optimize import run, students
from maskfork.deploy.optimize.forms import ORIGINAL
from maskfork.deploy.optimize.rows import UserRows
from maskfork.deploy.optimize.run import Plan
from maskfork.errors import DataError, UsageError
from maskfork.learn.tasks.classify import Sorter
from maskfork.learn.tasks.classify.reading import Reader
from maskfork.learn.tasks.classify.rules import Rules
from maskfork.learn.tasks.common.settings import TaskSettings
from maskfork.learn.tasks.static import StaticClassifier
from tests.learn.tiny import make, sentences

NAMES = ("bad", "good")
BRIEF = TaskSettings(epochs=1.0, learning_rate=2e-3, batch_size=32, min_steps=12, precision="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("bert", "classify", labels=NAMES, num_hidden_layers=4).save(tmp_path_factory.mktemp("teacher"))


def test_a_training_that_leads_away_is_taken_back(folder: Path, tmp_path: Path) -> None:
    """At steps that are far too large, for a student that begins near its teacher."""
    given = students.lesson(students.open_teacher(folder), sentences(300)[0], tmp_path, most=450)
    wild = TaskSettings(epochs=1.0, learning_rate=0.3, batch_size=32, min_steps=8, precision="fp32")
    made = Sorter.open(students.train("narrow", given, tmp_path / "narrow", settings=wild))
    texts = sentences(60, 7)[0]
    wanted, start = (
        given.teacher.logits(texts),
        Sorter(Reader(students._start("narrow", given).eval()), "single", NAMES).logits(texts),
    )
    np.testing.assert_array_equal(made.logits(texts).argmax(1), start.argmax(1))
    assert (made.logits(texts).argmax(1) == wanted.argmax(1)).mean() > 0.9


def test_students_with_layers(folder: Path, tmp_path: Path) -> None:
    teacher = students.open_teacher(folder)
    given = students.lesson(teacher, sentences(80)[0], tmp_path, most=100)
    assert len(given.texts) == len(set(given.texts)) == len(given.beliefs) == 100
    assert students.lesson(teacher, sentences(80)[0], tmp_path, most=100).beliefs.tolist() == given.beliefs.tolist()
    texts = sentences(60, 7)[0]
    wanted = softmax(teacher.logits(texts), axis=1)

    def apart(sorter: Sorter) -> float:
        return float(np.abs(softmax(sorter.logits(texts), axis=1) - wanted).mean())

    static = students.train("static", given, tmp_path / "static")
    assert StaticClassifier.open(static).predict(texts).shape == (60, 2)
    for name, depth in (("half", 2), ("narrow", 4)):
        start = students._start(name, given)  # type: ignore[arg-type]
        assert start.spec.main.depth == depth
        made = students.train(name, given, tmp_path / name, settings=BRIEF)  # type: ignore[arg-type]
        student = Sorter.open(made)
        before = Sorter(type(student.reader)(start.eval()), "single", NAMES)
        if name == "narrow":  # what the units did that left has been taken over: there is little to learn
            assert apart(before) < 0.02
        else:
            assert apart(student) < apart(before)
        assert student.label_names == NAMES
        assert students.train(name, given, made) == made  # it is there: nothing is trained
        assert not [path for path in tmp_path.iterdir() if path.name.startswith(f".{name}")]


def test_nothing_is_judged_that_was_learnt_from(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = UserRows(({"text": "A lovely  film"}, {"text": "a dull film"}), None, ())
    learnt: list[list[str]] = []

    def lesson(teacher: Sorter, texts: list[str], work: Path, *, pairs: None, most: int, seed: int) -> students.Lesson:
        learnt.append(list(texts))
        raise UsageError("enough")

    monkeypatch.setattr(students, "lesson", lesson)
    left: dict[str, str] = {}
    bases = {ORIGINAL: folder}
    plan = Plan(students=("static", "half"), texts=("a LOVELY film", "the plot of the film", "a dull film."))
    run._learn(folder, judged, plan, tmp_path, bases, left, lambda doing: None)
    assert learnt == [["the plot of the film", "a dull film."]]
    assert left == {"student static": "enough", "student half": "enough"}
    assert list(bases) == [ORIGINAL]


def test_students_of_pairs_and_of_several_labels(tmp_path: Path) -> None:
    model = make("bert", "classify", labels=(*NAMES, "long"), num_hidden_layers=2)
    model.config["problem_type"] = "multi_label_classification"
    folder = Sorter(Reader(model), "multi", (*NAMES, "long"), rules=Rules(thresholds=(0.4, 0.5, 0.6))).save(tmp_path / "multi")
    teacher = students.open_teacher(folder)
    texts, pairs = sentences(80)[0], sentences(80, 5)[0]
    given = students.lesson(teacher, texts, tmp_path, pairs=pairs, most=150)
    assert given.several
    assert given.pairs is not None
    assert len(given.texts) == len(given.pairs) == len(given.beliefs) == 150
    assert not np.allclose(given.beliefs.sum(1), 1.0)
    assert all(text in texts or pair in pairs for text, pair in zip(given.texts, given.pairs, strict=True))
    student = Sorter.open(students.train("half", given, tmp_path / "half", settings=BRIEF))
    assert (student.problem, student.rules.thresholds) == ("multi", (0.4, 0.5, 0.6))
    new, second = sentences(60, 7)[0], sentences(60, 8)[0]
    wanted = expit(teacher.logits(new, second))
    before = Sorter(Reader(students._start("half", given).eval()), "multi", teacher.label_names)
    apart = [float(np.abs(expit(one.logits(new, second)) - wanted).mean()) for one in (student, before)]
    assert apart[0] < apart[1]
    with pytest.raises(UsageError, match="a static student reads one text"):
        students.train("static", given, tmp_path / "static")
    left: dict[str, str] = {}
    judged = UserRows(({"text": "a", "pair": "b"},), None, ())
    run._learn(folder, judged, Plan(students=("half",), texts=("c",)), tmp_path / "no", {}, left, lambda doing: None)
    assert "which are pairs" in left["student half"]


def test_models_that_have_no_students(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no student 'quarter'"):
        students.named("half,quarter")
    assert students.named("static, half") == ("half", "static")
    with pytest.raises(DataError, match="there are none"):
        students.lesson(students.open_teacher(folder), ["  "], tmp_path)
    sorter = Sorter.open(folder)
    sorter.rules = Rules(abstain_below=0.7)
    sorter.save(tmp_path / "careful")
    with pytest.raises(UsageError, match="refuses texts by rules"):
        students.open_teacher(tmp_path / "careful")


@pytest.mark.parametrize("words", [["--students", "static"], ["--train", "more.csv"], ["--learn", "50"]])
def test_what_is_said_of_students_asks_for_them(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "model", "rows.csv", "-o", "out", *words]) != 0
    assert "ask for students with --distil" in capsys.readouterr().err
