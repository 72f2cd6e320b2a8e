from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from maskfork.cli import main
from maskfork.decide.label.active import NOT_CHOSEN, label_actively
from maskfork.decide.label.columns import with_labels
from maskfork.decide.label.rows import read_unlabelled
from maskfork.errors import DataError, UsageError
from maskfork.prompt.tasks import read_task
from maskfork.prompt.teachers.outcome import Answers
from maskfork.prompt.teachers.teacher import FormTeacher, Labels, Teacher
from tests.prompt.teachers.server import Call, ChatServer, Say

NAMES = ("negative", "positive")
MAIN = "import sys; from maskfork.cli import main; sys.exit(main(sys.argv[1:]))"
TASK = "what: Is the review positive or negative?\nlabels: [negative, positive]\n"


def answer(call: Call) -> Say:
    chances = [("positive", -0.1), ("negative", -2.4)] if "good" in call.last else [("negative", -0.2), ("positive", -1.7)]
    return Say(chances[0][0], usage=(100, 1), logprobs=[(chances[0][0], chances)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("task.yaml").write_text(TASK)
    with Path("rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "review", "label"])
        writer.writerows([[i, f"{'good' if i % 3 else 'bad'} film {i}", "old"] for i in range(12)])
        writer.writerow([12, " ", "old"])
    return tmp_path


def run(*words: str) -> int:
    return main(["label", *words])


def test_columns_stay_and_the_teachers_come_beside_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(answer) as server:
        asked = ["rows.csv", "--task", "task.yaml", "--teacher", server.url, "--teacher-model", "m", "--orders", "2"]
        assert run(*asked, "--price-in", "1", "--price-out", "2", "-o", "out.parquet") == 0
        said = capsys.readouterr()
        assert "12 of 13 texts are labelled by m at" in said.out
        assert "1 were not asked" in said.out
        assert "Cost: about" in said.err
        assert len(server.calls) == 24
        assert run(*asked, "--price-in", "1", "--price-out", "2", "-o", "out.parquet", "--json") == 0
        record = json.loads(capsys.readouterr().out)
        assert len(server.calls) == 24, "nothing is paid twice"
    assert record["cost"] == pytest.approx(24 * 102e-6)
    assert record["spent"] == 0.0
    assert record["labels"] == {"negative": 4, "positive": 8}
    frame = pl.read_parquet("out.parquet")
    assert frame.columns == [
        "id", "review", "label", "teacher_label", "confidence", "agreement", "probabilities", "cost", "unlabelled",
    ]  # fmt: skip
    assert frame["label"].to_list() == ["old"] * 13
    assert frame["teacher_label"].to_list()[:4] == ["negative", "positive", "positive", "negative"]
    assert frame["confidence"][1] == pytest.approx(np.exp(-0.1) / (np.exp(-0.1) + np.exp(-2.4)), abs=1e-6)
    assert frame["agreement"].to_list() == [1.0] * 12 + [None]
    assert json.loads(frame["probabilities"][0])["negative"] == pytest.approx(frame["confidence"][0], abs=1e-6)
    assert frame["unlabelled"].to_list() == [None] * 12 + ["not asked: the text is blank"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "tsv"])
def test_every_ending_reads_back(folder: Path, ending: str) -> None:
    with ChatServer(answer) as server:
        assert run("rows.csv", "--task", "task.yaml", "--teacher", server.url, "-o", f"out.{ending}", "--teacher-model", "m") == 0
    found = read_unlabelled(Path(f"out.{ending}"), text="review")
    assert found.frame.height == 13
    assert found.frame["teacher_label"].to_list()[:2] == ["negative", "positive"]


def test_a_kill_at_any_moment_repeats_no_paid_call(folder: Path) -> None:
    def slow(call: Call) -> Say:
        time.sleep(0.02)
        return answer(call)

    with ChatServer(slow) as server:
        words = ["rows.csv", "--task", "task.yaml", "--teacher", server.url, "--teacher-model", "m", "--concurrency", "1"]
        words += ["-o", "out.csv"]
        child = subprocess.Popen([sys.executable, "-c", MAIN, "label", *words])
        while len(server.calls) < 5:
            time.sleep(0.005)
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        assert not Path("out.csv").exists()
        assert run(*words) == 0
    assert len(server.calls) <= 12 + 1, "only the call in flight is made again"
    assert max(server.served.values()) <= 2
    assert pl.read_csv("out.csv")["teacher_label"].drop_nulls().len() == 12


def test_the_highest_cost_leaves_rows_unlabelled_with_the_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(answer) as server:
        asked = ["rows.csv", "--task", "task.yaml", "--teacher", server.url, "--teacher-model", "m", "-o", "out.jsonl"]
        assert run(*asked, "--max-tokens", "1000", "--concurrency", "1") == 0
        some = len(server.calls)
        assert 0 < some < 12
        frame = pl.read_ndjson("out.jsonl")
        assert frame["teacher_label"].drop_nulls().len() == some
        assert any("most tokens, 1,000" in str(why) for why in frame["unlabelled"])
        assert run(*asked) == 0
    assert len(server.calls) == 12
    assert pl.read_ndjson("out.jsonl")["teacher_label"].drop_nulls().len() == 12


def test_other_texts_or_another_task_do_not_overwrite(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(answer) as server:
        asked = ["--teacher", server.url, "--teacher-model", "m", "-o", "out.csv"]
        assert run("rows.csv", "--task", "task.yaml", *asked) == 0
        Path("other.yaml").write_text(TASK.replace("review", "film"))
        assert run("rows.csv", "--task", "other.yaml", *asked) == 2
        assert "nothing is overwritten" in capsys.readouterr().err
        assert run("rows.csv", "--task", "task.yaml", "--teacher", server.url, "--teacher-model", "m", "-o", "out.xls") == 2
        assert len(server.calls) == 12


@pytest.mark.parametrize("head", ["text\n", ""])
def test_a_table_of_texts_alone(tmp_path: Path, head: str) -> None:
    file = tmp_path / "texts.csv"
    file.write_text(head + 'a film\n"warm, and ""clever""\nby turns"\nthe end\n')
    assert read_unlabelled(file).texts == ("a film", 'warm, and "clever"\nby turns', "the end")


def test_lines_and_folders_of_texts(tmp_path: Path) -> None:
    lines = tmp_path / "texts.txt"
    lines.write_text("one\n\n two \n")
    assert read_unlabelled(lines).texts == ("one", "two")
    many = tmp_path / "many"
    (many / "deep").mkdir(parents=True)
    (many / "b.txt").write_text("second")
    (many / "deep" / "c.md").write_text("third")
    (many / "a.txt").write_text("first\nline")
    (many / "photo.jpg").write_bytes(b"x")
    found = read_unlabelled(many)
    assert found.texts == ("first\nline", "second", "third")
    assert found.frame["file"].to_list() == ["a.txt", "b.txt", "deep/c.md"]
    assert any("1 other files are left out" in note for note in found.notes)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no"):
        read_unlabelled(tmp_path / "empty")


# --- active ---


class Oracle(Teacher):
    """Knows the truth; counts."""

    def __init__(self, truth: np.ndarray) -> None:
        self.name, self.truth, self.asked = "oracle", truth, []
        self.description = read_task({"what": "Which?", "labels": [f"l{i}" for i in range(int(truth.max()) + 1)]})

    def label(self, texts: Any, pairs: Any = None, progress: Any = None) -> Labels:
        rows = np.array([int(text) for text in texts])
        self.asked += rows.tolist()
        labels = self.truth[rows]
        classes = len(self.description.labels)
        nothing = np.full(len(rows), np.nan)
        errors = (None,) * len(rows)
        names = self.description.label_names
        return Labels(names, labels, np.eye(classes)[labels], nothing, errors=errors, latencies_ms=nothing)

    def preview(self, texts: Any, pairs: Any = None) -> None:
        return None

    def identity(self) -> dict[str, Any]:
        return {}


def world(seed: int, rows: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Vectors [N, 8] of five kinds, three of them rare and near another one."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(5, rows, p=[0.46, 0.46, 0.03, 0.03, 0.02])
    centres = rng.normal(size=(5, 8))
    return (centres[labels] + 0.45 * rng.normal(size=(rows, 8))).astype(np.float32), labels


def test_the_budget_is_kept_and_the_choice_repeats_itself() -> None:
    vectors, truth = world(0)
    texts = [str(i) for i in range(len(truth))]
    first, again = Oracle(truth), Oracle(truth)
    labels, rounds = label_actively(first, texts, None, vectors, 100, seed=3)
    label_actively(again, texts, None, vectors, 100, seed=3)
    assert first.asked == again.asked
    assert len(set(first.asked)) == len(first.asked) == 100 == sum(one.asked for one in rounds)
    assert labels.labelled.sum() == 100
    assert labels.errors.count(NOT_CHOSEN) == 1400
    assert (labels.labels[first.asked] == truth[first.asked]).all()
    assert rounds[0].mean_margin is None
    assert rounds[-1].mean_margin is not None
    with pytest.raises(UsageError, match="--active asks for 10 texts or more"):
        label_actively(first, texts, None, vectors, 1500)


def test_rare_kinds_are_found_with_half_of_the_calls() -> None:
    from sklearn.linear_model import LogisticRegression

    def accuracy(vectors: np.ndarray, truth: np.ndarray, rows: list[int]) -> float:
        held = np.setdiff1d(np.arange(len(truth)), rows)
        made = LogisticRegression(C=10.0, max_iter=300).fit(vectors[rows], truth[rows])
        hits = made.predict(vectors[held]) == truth[held]
        return float(np.mean([hits[truth[held] == c].mean() for c in range(5)]))

    ours, random = [], []
    for seed in range(4):
        vectors, truth = world(seed)
        oracle = Oracle(truth)
        label_actively(oracle, [str(i) for i in range(len(truth))], None, vectors, 80, seed=seed)
        ours.append(accuracy(vectors, truth, oracle.asked))
        random.append(accuracy(vectors, truth, np.random.default_rng(seed).permutation(len(truth))[:160].tolist()))
    assert np.mean(ours) > np.mean(random)


class Several(FormTeacher):
    """Knows the truth [N, C]; counts."""

    def __init__(self, truth: np.ndarray) -> None:
        self.name, self.truth, self.asked = "oracle", truth, []
        self.description = read_task({"what": "Which?", "labels": ["a", "b", "rare"], "output": "labels"})

    def label(self, texts: Any, pairs: Any = None, progress: Any = None) -> Answers:
        rows = [int(text) for text in texts]
        self.asked += rows
        names, nothing = self.description.label_names, np.full(len(rows), np.nan)
        said = [{"labels": [n for n, yes in zip(names, self.truth[i], strict=True) if yes], "confidence": None} for i in rows]
        return Answers(kind="labels", names=names, rows=tuple(said), errors=(None,) * len(rows), latencies_ms=nothing)

    preview, identity = Oracle.preview, Oracle.identity


def test_several_labels_are_learnt_with_half_of_the_calls() -> None:
    """Of the labels that a text has, the student is unsure of one: a rare one among two that half of the texts have."""
    from sklearn.linear_model import LogisticRegression

    def recall(vectors: np.ndarray, truth: np.ndarray, rows: list[int]) -> float:
        held = np.setdiff1d(np.arange(len(truth)), rows)
        made = [
            LogisticRegression(C=10.0, max_iter=300).fit(vectors[rows], truth[rows, c]).predict(vectors[held]) for c in range(3)
        ]
        return float(
            np.mean([(guess == y)[y == side].mean() for guess, y in zip(made, truth[held].T, strict=True) for side in (0, 1)])
        )

    ours, random = [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        vectors = rng.normal(size=(1500, 8)).astype(np.float32)
        truth = np.stack([vectors[:, 0] > 0, vectors[:, 1] > 0, vectors[:, 2] > 1.5], axis=1).astype(np.int64)
        teacher = Several(truth)
        texts = [str(i) for i in range(len(truth))]
        answers, _ = label_actively(teacher, texts, None, vectors, 80, seed=seed)
        assert len(set(teacher.asked)) == len(teacher.asked) == 80 == int(answers.labelled.sum())
        assert answers.errors.count(NOT_CHOSEN) == 1420
        assert all(
            answers.rows[i]["labels"] == [n for n, y in zip(answers.names, truth[i], strict=True) if y] for i in teacher.asked
        )
        ours.append(recall(vectors, truth, teacher.asked))
        random.append(recall(vectors, truth, np.random.default_rng(seed).permutation(len(truth))[:160].tolist()))
    assert np.mean(ours) > np.mean(random)


def test_without_prices_there_is_no_cost_column() -> None:
    truth = np.array([0, 1, 1])
    frame, notes = with_labels(pl.DataFrame({"text": ["0", "1", "2"]}), Oracle(truth).label(["0", "1", "2"]))
    assert frame.columns == ["text", "label", "confidence", "probabilities", "unlabelled"]
    assert notes == []
