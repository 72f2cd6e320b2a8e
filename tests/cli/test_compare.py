"""`maskfork compare` from the command line: the whole way with the floor alone, options, wrong input."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from maskfork.cli import main
from tests.decide.compare.fakes import mood_rows
from tests.learn.tiny import make

FLOOR = ["--no-finetune", "--no-probe", "--resamples", "200"]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = mood_rows(260, classes=2, noise=0.05)
    file = tmp_path / "moods.csv"
    lines = [f"{text},{rows.label_names[label]}" for text, label in zip(rows.texts, rows.labels, strict=True)]
    file.write_text("\n".join(["text,mood", *lines]) + "\n", "utf-8")
    return file


def test_the_whole_way(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    command = ["compare", str(table), *FLOOR, "--budgets", "8,all", "--seeds", "2", "--out", str(out)]
    assert main([*command, "--p99", "1s", "--memory", "2GB", "--price-per-hour", "0.1"]) == 0
    said = capsys.readouterr()
    assert "TF-IDF" in said.out
    assert 'text from "text"' in said.err
    assert "3 runs" in said.err
    assert "winner" in said.err
    assert {p.name for p in out.iterdir()} >= {"report.json", "report.html", "winner"}
    assert main(["predict", str(out / "winner"), "all was gloomy and angryly so", "calmly"]) == 0
    assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == ["angry", "calm"]
    assert main([*command, "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)  # nothing but the report is on stdout
    assert report["recommendation"]["winner"] == "TF-IDF + logistic regression @ 160"
    assert "3 of them finished earlier" in said.err
    assert report["constraints"]["p99_ms"] is None


def test_options_from_a_file(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "compare.toml"
    file.write_text(
        'budgets = [8, "all"]\nseeds = 1\nfinetune = false\nprobe = false\nresamples = 200\np99 = "2s"\n'
        f'out = "{tmp_path / "out"}"\n'
    )
    assert main(["compare", str(table), "--config", str(file), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["constraints"]["p99_ms"] == 2000
    assert [line["budget"] for line in report["contenders"]] == [8, 160]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--p99", "50"], "--p99 is '50', but it must be a number with its unit"),
        (["--memory", "2 houses"], "--memory is '2 houses'"),
        (["--qps", "-1"], "--qps is -1"),
        (["--budgets", "8,lots"], "--budgets holds 'lots'"),
        (["--budgets", "9999"], "Every budget is beyond the 160 rows"),
        (["--seeds", "0"], "--seeds is 0"),
        (["--max-cost-per-million", "0"], "--max-cost-per-million is 0"),
        (["--price-per-hour", "nan"], "--price-per-hour is nan"),
        (["--label-words", "angry"], "--label-words holds 'angry'"),
        (["--threads", "0"], "--threads is 0"),
        (["--no-tfidf"], "No contender is left"),
        (["--llm-url", "http://127.0.0.1:9/v1"], "say nothing without --llm"),
        (["--llm", "m", "--llm-url", "http://127.0.0.1:9/v1"], "cannot be reached"),
        (["--llm", "m", "--llm-url", "nonsense"], "not an address"),
        (["--llm", "m", "--llm-url", "http://me:secret@127.0.0.1:9/v1"], "put the key into OPENAI_API_KEY"),
        (["--llm", "m", "--price-in", "1"], "both prices"),
        (["--encoder", "nowhere/at/all", "--finetune"], "there is no folder"),
        (["--decoder", "./nowhere"], "there is no folder"),
        (["--label", "moood"], "moood"),
        (["--test", "gone.csv"], "gone.csv"),
        (["--batch-size", "0"], "above zero"),
    ],
)
def test_wrong_options_are_one_sentence_and_write_nothing(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    out = tmp_path / "out"
    floor = FLOOR if "--finetune" not in options else FLOOR[1:]
    assert main(["compare", str(table), *floor, "--out", str(out), *options]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("maskfork: ")
    assert words in last
    assert not out.exists()


@pytest.mark.parametrize(("option", "said"), [("--encoder", "there is no folder"), ("--decoder", "cannot be prompted to answer")])
def test_a_model_that_cannot_take_part_is_refused_before_anything_is_read(
    option: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is not there, and that is not what is said."""
    model = tmp_path / "nowhere" / "near" / "me" if option == "--encoder" else make("bert").save(tmp_path / "bert")
    more = [] if option == "--encoder" else FLOOR
    assert main(["compare", str(tmp_path / "none.csv"), option, str(model), *more, "--out", str(tmp_path / "out")]) != 0
    assert said in capsys.readouterr().err


def test_wrong_data_is_one_sentence_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    wrong = {
        "empty.csv": b"",
        "one.csv": b"text,label\n" + b"".join(b"row %d,yes\n" % i for i in range(50)),
        "alone.csv": b"text,label\n" + b"".join(b"row %d,%s\n" % (i, b"ab"[i % 2 :][:1]) for i in range(50)) + b"x,c\n",
        "nolabel.csv": b"text\n" + b"".join(b"row %d\n" % i for i in range(50)),
        "nul.csv": b"text,label\n" + b"a\x00b,yes\nc,no\n" * 30,
    }
    for name, raw in wrong.items():
        (tmp_path / name).write_bytes(raw)
    for name in [*wrong, "missing.csv"]:
        assert main(["compare", str(tmp_path / name), *FLOOR, "--out", str(out)]) == 2, name
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert last.startswith("maskfork: "), name
        assert name in last
        assert not out.exists()


def test_a_folder_of_other_things_is_left_alone(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "thesis.tex").write_text("years")
    assert main(["compare", str(table), *FLOOR, "--out", str(out)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert [p.name for p in out.iterdir()] == ["thesis.tex"]
    assert (out / "thesis.tex").read_text() == "years"


def test_paid_questions_need_a_yes(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openai")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    out = tmp_path / "out"
    paid = ["--llm", "m", "--llm-url", "https://api.example.com/v1", "--price-in", "2", "--price-out", "8"]
    assert main(["compare", str(table), *FLOOR, "--out", str(out), "--budgets", "0,8", *paid]) == 2
    said = capsys.readouterr().err
    assert "m via endpoint: 400 calls" in said
    assert "cost: about" in said
    assert "Paid questions need a yes" in said
    assert not out.exists()


def test_a_label_with_one_row_is_named_and_can_be_left_out(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table.write_text(table.read_text("utf-8") + "nobody knows,puzzled\n", "utf-8")
    command = ["compare", str(table), *FLOOR, "--budgets", "all", "--seeds", "1", "--out", str(tmp_path / "out"), "--json"]
    assert main(command) == 2
    sentence = json.loads(capsys.readouterr().out)["error"]
    assert '"puzzled" has one row only' in sentence
    assert "--drop-rare" in sentence
    assert not (tmp_path / "out").exists()
    assert main([*command, "--drop-rare"]) == 0
    assert set(json.loads(capsys.readouterr().out)["data"]["labels"]) == {"angry", "calm"}


def test_labels_that_are_written_in_two_ways_are_told(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(table.read_text("utf-8").replace(",calm", ",Calm", 20), "utf-8")
    command = ["compare", str(table), *FLOOR, "--budgets", "all", "--seeds", "1", "--out", str(tmp_path / "out")]
    assert main(command) == 0
    said = capsys.readouterr().err
    assert '"Calm" and "calm". Spell each label in one way' in said
    assert "1 run; about" in said


def test_decoders_are_asked_as_a_task_says(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    decoder = make("gpt2", "causal_lm", n_positions=200).save(tmp_path / "gpt")
    task, names = tmp_path / "task.yaml", mood_rows(260, classes=2, noise=0.05).label_names
    task.write_text(f"what: Which mood?\nlabels: [{', '.join(reversed(names))}]\nask: {{select: balanced, shots: 2}}\n")
    command = ["compare", str(table), *FLOOR, "--budgets", "0,64", "--seeds", "1", "--decoder", str(decoder), "--task", str(task)]
    assert main([*command, "--out", str(tmp_path / "out"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert "prompted gpt" in json.dumps(report)
    task.write_text("what: Which mood?\nlabels: [a, b]\n")
    assert main([*command, "--out", str(tmp_path / "other")]) == 2
    assert "the task has the labels a, b and the data has" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_told(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["compare", str(table), *FLOOR, "--out", str(tmp_path / "file" / "out")]) == 2
    assert f"cannot be written, because {tmp_path / 'file'} is a file: give another folder" in capsys.readouterr().err
