"""`maskfork prompt`: a task file asked of a decoder; runs go on where they stopped; wrong input is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from maskfork.cli import main
from maskfork.prompt.ask import open_asker
from maskfork.prompt.ask.label import LabelAsker
from maskfork.prompt.tasks import read_task
from tests.learn.tiny import make, sentences

TEXTS = sentences(150, 7)[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make("gpt2", "causal_lm", n_positions=400).save(tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def task(tmp_path: Path) -> Path:
    file = tmp_path / "task.yaml"
    file.write_text("what: Is it good?\nlabels: [no, yes]\nexamples:\n- {text: a dull film, answer: no}\n", "utf-8")
    return file


def ask(capsys: pytest.CaptureFixture[str], *tokens: object) -> tuple[int, str, str]:
    code = main(["prompt", *map(str, tokens)])
    return code, *capsys.readouterr()


def test_texts_and_json(folder: Path, task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = ask(capsys, task, "a lovely film", "dull", "--model", folder)
    rows = open_asker(folder, read_task(task)).ask(["a lovely film", "dull"])
    assert code == 0
    for line, row in zip(out.splitlines(), rows, strict=True):
        said = line.split("\t")
        assert (said[0], said[3]) == (row["label"], f"confidence {row['confidence']:.3f}")
    code, out, _ = ask(capsys, task, "a lovely film", "--model", folder, "--orders", 3, "--shots", 0, "--json")
    (row,) = json.loads(out)
    assert row["text"] == "a lovely film"
    assert set(row["probabilities"]) == {"no", "yes"}


def test_a_file_goes_on_where_it_stopped(
    folder: Path, task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = tmp_path / "texts.csv", tmp_path / "answers.jsonl"
    data.write_text("id,review\n" + "\n".join(f"{i},{text}" for i, text in enumerate(TEXTS)), "utf-8")
    command = (task, "--model", folder, "--file", data, "--text", "review", "-o", out)
    plain, asked = LabelAsker.ask, []

    def stopped(self: LabelAsker, texts: list[str], pairs: object = None, moved: object = None) -> object:
        asked.append(len(texts))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return plain(self, texts, pairs, moved)  # type: ignore[arg-type]

    monkeypatch.setattr(LabelAsker, "ask", stopped)
    assert ask(capsys, *command)[0] == 130
    with out.open("a") as file:
        file.write('{"text": "half a li')  # as a kill would leave it
    code, _, err = ask(capsys, *command)
    assert code == 0
    assert "128 of 150 answers are there already" in err
    assert asked == [64, 64, 22, 22]
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [row["text"] for row in rows] == TEXTS
    monkeypatch.setattr(LabelAsker, "ask", plain)
    fresh = open_asker(folder, read_task(task)).ask(TEXTS)
    assert [row["label"] for row in rows] == [row["label"] for row in fresh]
    code, _, err = ask(capsys, *command, "--orders", 2)
    assert code == 2
    assert "holds other answers than these would be" in err


def test_examples_from_a_file(folder: Path, task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "text,label\n" + "\n".join(f"{text},{'yes' if i % 2 else 'no'}" for i, text in enumerate(TEXTS[:20])), "utf-8"
    )
    code, out, _ = ask(
        capsys, task, "a film", "--model", folder, "--examples", rows, "--shots", 4, "--select", "balanced", "--json"
    )
    assert code == 0
    assert json.loads(out)[0]["label"] in ("no", "yes")
    rows.write_text("text,label\na film,good\nthe plot,bad\n", "utf-8")
    code, _, err = ask(capsys, task, "a film", "--model", folder, "--examples", rows)
    assert code == 2
    assert "has the label 'good', which is none of the task's: no, yes" in err


@pytest.mark.parametrize(
    ("more", "match"),
    [
        (["x", "-o", "out.csv"], "name a file that ends in .jsonl"),
        ([], "there is no text to label: maskfork prompt"),
        (["x", "--select", "nearest"], "name an encoder"),
        (["x", "--samples", "3", "--calibrate"], "leave samples and reason out"),
        (["x", "--template", "chat"], "has no chat template"),
    ],
)
def test_wrong_questions(folder: Path, task: Path, capsys: pytest.CaptureFixture[str], more: list[str], match: str) -> None:
    code, out, err = ask(capsys, task, *more, "--model", folder)
    assert (code, out) == (2, "")
    assert match in err
    assert err.count("\n") == 1


def test_a_ladder_is_measured_and_drawn(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, other = tmp_path / "rows.csv", make("gpt2", "causal_lm", n_positions=400, seed=2).save(tmp_path / "other")
    texts, labels = sentences(300, 8)
    data.write_text(
        "text,label\n" + "\n".join(f"{t},{'good' if c else 'bad'}" for t, c in zip(texts, labels, strict=True)), "utf-8"
    )
    command = ["evaluate", folder, other, data, "--few-shot", "0,2", "--draws", 2, "--limit", 8]
    assert main([*map(str, command), "--picture", str(tmp_path / "ladder.png"), "--metrics", "exact,brier"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 5
    assert "exact" in out
    assert "give more models" in err
    assert (tmp_path / "ladder.png").read_bytes().startswith(b"\x89PNG")
    assert main([*map(str, command), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["measured"]) == 4
    for wrong, match in ((["--metrics", "f1"], "there is no metric 'f1'"), (["--picture", "x.bmp"], "is a .png, .svg or .pdf")):
        assert main([*map(str, command), *wrong]) == 2
        assert match in capsys.readouterr().err
