"""The whole way with a tiny random encoder and a teacher of known confusion."""

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
from maskfork.decide.distill.gold import places, read_gold
from maskfork.decide.label.rows import Unlabelled, read_unlabelled
from maskfork.errors import DataError
from maskfork.view.distil.page import distill_html
from tests.learn.tiny import BAD, GOOD, PLAIN, make
from tests.prompt.teachers.noise import noisy_teacher
from tests.prompt.teachers.server import Call, ChatServer, Say

NAMES = ("bad", "good")
TASK = "what: How does the writer like the film?\nlabels: [bad, good]\n"
MAIN = "import sys; from maskfork.cli import main; sys.exit(main(sys.argv[1:]))"


def sentences(count: int, seed: int) -> list[tuple[str, int]]:
    """Films in nine to twelve words, one of which decides."""
    rng = np.random.default_rng(seed)
    made = []
    for label in rng.integers(0, 2, count).tolist():
        words = [*rng.choice(PLAIN, int(rng.integers(8, 12))), rng.choice(GOOD if label else BAD)]
        made.append((" ".join(str(words[j]) for j in rng.permutation(len(words))), label))
    return made


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make("bert").save(tmp_path_factory.mktemp("encoder")))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("task.yaml").write_text(TASK)
    with Path("texts.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *([i, text] for i, (text, _) in enumerate(sentences(420, 1)))])
    with Path("gold.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([text, NAMES[label]] for text, label in sentences(80, 2))])
    return tmp_path


TRUTH = {text: label for seed, count in ((1, 420), (2, 80)) for text, label in sentences(count, seed)}


def words(server: ChatServer, encoder: str, *more: str) -> list[str]:
    asked = ["texts.csv", "--task", "task.yaml", "--teacher", server.url, "--teacher-model", "m", "--gold", "gold.csv"]
    return [*asked, "--student", encoder, "-o", "out", "--epochs", "6", "--learning-rate", "0.003", *more]


def test_from_texts_to_a_measured_student(folder: Path, encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    priced = ["--price-in", "10", "--price-out", "30", "--price-per-hour", "0.5"]
    with ChatServer(noisy_teacher(TRUTH, NAMES, 0.25)) as server:
        assert main(["distill", *words(server, encoder, *priced)]) == 0
        said = capsys.readouterr().out
        calls = len(server.calls)
        assert main(["distill", *words(server, encoder, *priced, "--json")]) == 0, "done already"
        record = json.loads(capsys.readouterr().out)
        assert len(server.calls) == calls == 500
    assert "The student is more accurate than its teacher" in said
    assert "paid for itself from" in said
    measured = record["measured"]
    labels = sorted(TRUTH.items())
    teacher_right = 0.75
    assert measured["teacher"]["accuracy"]["low"] <= teacher_right <= measured["teacher"]["accuracy"]["high"]
    assert measured["student"]["accuracy"]["value"] > 0.85
    assert measured["student"]["naive"]["high"] < measured["student"]["accuracy"]["low"], "its teacher's errors count against it"
    assert measured["gold_rows"] == 80
    assert sum(map(sum, measured["confusion"])) == 80
    assert record["audit"]["believed_wrong"] == pytest.approx(0.25, abs=0.1)
    prices = measured["prices"]
    assert prices["teacher_per_million"] == pytest.approx(1e6 * prices["labels"] / 500)
    assert prices["pays_from"] == pytest.approx(
        1e6 * prices["whole"] / (prices["teacher_per_million"] - prices["student_per_million"])
    )
    assert main(["predict", "out", labels[0][0], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["label"] in NAMES
    frame = pl.read_parquet("out/labelled.parquet")
    assert frame.columns[:2] == ["id", "text"]
    assert frame["label"].drop_nulls().len() == 420
    assert "prediction-powered" in Path("out/README.md").read_text()
    page = Path("out/report.html").read_text()
    assert page == distill_html(record)
    assert "more accurate than its teacher" in page
    assert not Path("out/.work").exists()


@pytest.mark.slow
def test_a_kill_at_any_stage_is_gone_on_from(folder: Path, encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    teacher = noisy_teacher(TRUTH, NAMES, 0.2)

    def slow(call: Call) -> Say:
        time.sleep(0.002)
        return teacher(call)

    with ChatServer(slow) as server:
        for mark in (None, "label.json", "doubt.json"):
            child = subprocess.Popen([sys.executable, "-c", MAIN, "distill", *words(server, encoder)], stderr=subprocess.DEVNULL)
            while len(server.calls) < 100 if mark is None else not Path("out/.work", mark).exists():
                assert child.poll() is None
                time.sleep(0.01)
            child.send_signal(signal.SIGKILL)
            child.wait(10)
        asked = len(server.calls)
        assert 500 <= asked <= 500 + 8, "calls in flight at the first kill, and no others, are made again"
        assert main(["distill", *words(server, encoder, "--json")]) == 0
        assert len(server.calls) == asked
    record = json.loads(capsys.readouterr().out)
    assert record["measured"]["student"]["accuracy"]["value"] > 0.8
    assert set(record["seconds"]) == {"label", "doubt", "learn"}


def test_active_spends_so_many_calls(folder: Path, encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(noisy_teacher(TRUTH, NAMES, 0.1)) as server:
        assert main(["distill", *words(server, encoder, "--active", "150", "--json")]) == 0
        assert len(server.calls) == 80 + 150
    record = json.loads(capsys.readouterr().out)
    assert record["data"] == {**record["data"], "learnt": 120, "apart": 30, "gold": 80}
    assert len(record["teacher"]["rounds"]) == 13
    assert record["teacher"]["not_asked"] == 270


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--active", "19"], "--active asks for 20 texts or more"),
        (["--active", "500"], "--active asks for fewer than the 420 texts that there are, not 500"),
        (["--set", "label_smoothing=0.1"], "label_smoothing has no place in what is learnt here"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_paid(
    folder: Path, encoder: str, more: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with ChatServer(noisy_teacher(TRUTH, NAMES, 0.1)) as server:
        assert main(["distill", *words(server, encoder, *more)]) == 2
        assert server.calls == []
    assert sentence in capsys.readouterr().err


def test_a_limit_that_is_reached_stops_and_more_goes_on(folder: Path, encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer(noisy_teacher(TRUTH, NAMES, 0.1)) as server:
        assert main(["distill", *words(server, encoder, "--max-tokens", "12000")]) == 2
        said, some = capsys.readouterr().err, len(server.calls)
        assert "Stopped before the most tokens, 12,000" in said
        assert "with --active N fewer texts are enough" in said
        assert 80 < some < 500
        assert main(["distill", *words(server, encoder)]) == 0
        assert len(server.calls) == 500


def test_bad_gold_is_said(folder: Path, encoder: str, capsys: pytest.CaptureFixture[str]) -> None:
    with ChatServer() as server:
        Path("gold.csv").write_text("text,label\n" + "".join(f"text {i},{NAMES[i % 2]}\n" for i in range(8)))
        assert main(["distill", *words(server, encoder)]) == 2
        assert "takes 10 or more labelled by hand" in capsys.readouterr().err
        Path("gold.csv").write_text("text,label\n" + "".join(f"text {i},{'ab'[i % 2]}\n" for i in range(20)))
        assert main(["distill", *words(server, encoder)]) == 2
        assert 'holds the label "a", "b" in 20 rows' in capsys.readouterr().err
        assert server.calls == []
    rows, few = [text for text, _ in sentences(60, 3)], gold_of(folder)
    with pytest.raises(DataError, match="beside the gold rows are too few to learn from"):
        places(Unlabelled(pl.DataFrame(), tuple(rows), None), few, 0)


def test_a_task_of_another_output_is_refused_before_its_gold_is_read(
    folder: Path, encoder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    task = Path("task.yaml")
    task.write_text(task.read_text() + "output: labels\n")
    Path("gold.csv").unlink()
    with ChatServer() as server:
        assert main(["distill", *words(server, encoder)]) == 2
        assert "use `maskfork label`" in capsys.readouterr().err
        assert not server.calls


def gold_of(folder: Path) -> Any:
    with Path("gold2.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text", "label"], *([text, NAMES[label]] for text, label in sentences(80, 2))])
    return read_gold(Path("gold2.csv"), NAMES)


def test_gold_rows_and_copies_are_neither_learnt_nor_kept_apart(folder: Path) -> None:
    gold = gold_of(folder)
    rows = [text for text, _ in sentences(300, 4)]
    rows += [gold.texts[0], gold.texts[1].upper(), rows[0], " "]
    found = places(Unlabelled(pl.DataFrame(), tuple(rows), None), gold, 0)
    both = {*found.learn.tolist(), *found.apart.tolist()}
    assert both == set(range(300))
    assert (len(found.apart), len(found.learn)) == (60, 240)
    assert [note.split(":")[0] for note in found.notes] == [
        "1 of 304 rows are blank",
        "2 of 304 rows are, or nearly, gold rows",
        "1 of 304 rows are copies of others, or nearly",
    ]


def test_a_table_reads_its_texts(folder: Path) -> None:
    assert len(read_unlabelled(Path("texts.csv"))) == 420
