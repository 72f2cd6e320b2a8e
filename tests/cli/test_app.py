"""The command line around the verbs, with a probe as the verb: one-sentence errors, exit codes, options from a file."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any

import numpy as np
import pytest
from cyclopts import Parameter

from maskfork import __version__
from maskfork.cli import main
from maskfork.cli.app import VERBS
from maskfork.cli.config import ConfigFile
from maskfork.cli.output import JsonFlag, emit_json, progress
from maskfork.errors import DataError

SEEN: dict[str, Any] = {}


def probe(
    data: Path,
    *,
    seeds: int = 3,
    budgets: str = "0,8",
    encoder: Annotated[list[str] | None, Parameter(negative="", consume_multiple=False)] = None,
    tfidf: bool = True,
    learning_rate: float = 2e-5,
    dry: Annotated[bool, Parameter(negative="")] = False,
    json: JsonFlag = False,
    config: ConfigFile = None,
) -> None:
    """Remember what was asked.

    Parameters
    ----------
    data
        `bad`, `bug` and `stop` do what they say.
    """
    SEEN.clear()
    SEEN.update(
        data=data,
        seeds=seeds,
        budgets=budgets,
        encoder=encoder,
        tfidf=tfidf,
        learning_rate=learning_rate,
        dry=dry,
        json=json,
    )
    match str(data):
        case "bad":
            raise DataError("the column 'label'\n  is missing: name it with --label")
        case "bug":
            raise ZeroDivisionError("a bug")
        case "disk":
            Path("/proc/nowhere/out.csv").write_text("no such place")
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as a write says it, without a name
        case "pipe":
            raise OSError("no file is to blame")
        case "stop":
            raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def probe_verb(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("maskfork.cli.probe")
    module.probe = probe  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "maskfork.cli.probe", module)
    monkeypatch.setitem(VERBS, "probe", "A verb of the tests.")
    SEEN.clear()


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """What was said on stderr: one line, and nothing on stdout."""
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err.strip()


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_every_verb(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out = capsys.readouterr().out
    assert [v for v in VERBS if f" {v} " not in out] == []


def test_the_verb_gets_what_was_asked() -> None:
    words = ["probe", "x.csv", "--seeds", "5", "--encoder", "a", "--encoder", "b", "--dry", "--json"]
    assert main(words) == 0
    assert {
        "data": Path("x.csv"),
        "seeds": 5,
        "budgets": "0,8",
        "encoder": ["a", "b"],
        "tfidf": True,
        "learning_rate": 2e-5,
        "dry": True,
        "json": True,
    } == SEEN


@pytest.mark.parametrize(
    ("words", "cause", "cure"),
    [
        (["prob"], "no verb 'prob'", "did you mean `maskfork probe`?"),
        (["Compare"], "no verb 'Compare'", "`maskfork compare`"),
        (["xyzzy"], "no verb 'xyzzy'", "choose from compare"),
        (["--seeds", "3"], "before --seeds", "compare"),
        (["probe"], "`maskfork probe` needs DATA", "maskfork probe --help"),
        (["probe", "disk"], "/proc/nowhere/out.csv cannot be read or written (no such file or directory)", "its folder is there"),
        (["probe", "full"], "the disk is full", "make room"),
        (["probe", "x", "--seed", "3"], "--seed", "did you mean --seeds?"),
        (["probe", "x", "--seeds", "many"], "many", "maskfork probe --help"),
        (["probe", "x", "y", "z"], "y", "maskfork probe --help"),
        (["probe", "bad"], "the column 'label' is missing", "name it with --label"),
    ],
)
def test_a_user_error_is_one_sentence(words: list[str], cause: str, cure: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    said = error_of(capsys)
    assert said.startswith("maskfork: ")
    assert cause in said
    assert cure in said


@pytest.mark.parametrize(("words", "kind"), [(["probe", "bad"], "DataError"), (["probe", "--seeds"], "UsageError")])
def test_a_user_error_as_json(words: list[str], kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert err == ""
    answer = json.loads(out)
    assert (answer["kind"], answer["exit_code"]) == (kind, 2)
    assert answer["error"]


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "bug"]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in err
    assert "report it" in err.splitlines()[-1]
    assert main(["probe", "pipe"]) == 1
    assert "OSError: no file is to blame" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "way"), [("bad", "DataError"), ("disk", "FileNotFoundError"), ("full", "OSError")])
def test_the_way_to_a_users_error_is_shown_where_it_is_wanted(
    words: str, way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for off in ("", "0"):
        monkeypatch.setenv("MASKFORK_DEBUG", off)
        assert main(["probe", words]) == 2
        assert "Traceback" not in error_of(capsys)
    monkeypatch.setenv("MASKFORK_DEBUG", "1")
    assert main(["probe", words, "--json"]) == 2
    out, err = capsys.readouterr()
    assert json.loads(out)["exit_code"] == 2
    assert "in probe\n" in err
    assert way in err
    assert main(["probe", words]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith("maskfork: ")


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "stop"]) == 130
    assert "finished work is kept" in error_of(capsys)


# --- --config ---

CONFIGS = {
    "c.toml": """
        data = "x.csv"
        seeds = 7
        budgets = [0, 8, "all"]
        encoder = ["a", "b"]
        learning-rate = 1e-4
        dry = true
        tfidf = false
    """,
    "c.json": """{
        "data": "x.csv", "seeds": 7, "budgets": "0,8,all", "encoder": ["a", "b"], "learning_rate": 1e-4,
        "dry": true, "tfidf": false
    }""",
    "c.yaml": "data: x.csv\nseeds: 7\nbudgets: 0,8,all\nencoder: [a, b]\nlearning_rate: 0.0001\ndry: true\ntfidf: false\n",
}


@pytest.mark.parametrize("name", CONFIGS)
def test_options_from_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(CONFIGS[name])
    assert main(["probe", "--config", str(file)]) == 0
    expected = {
        "data": Path("x.csv"),
        "seeds": 7,
        "budgets": "0,8,all",
        "encoder": ["a", "b"],
        "tfidf": False,
        "learning_rate": 1e-4,
        "dry": True,
        "json": False,
    }
    assert expected == SEEN


def test_what_has_a_place_and_no_name_comes_from_a_file_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """label's DATA and predict's TEXTS: the one was an unknown option, the others one too."""
    (tmp_path / "label.yaml").write_text("data: nothing.csv\ntask: task.yaml\nteacher: labels-gpt-3m\nout: out.csv\n")
    (tmp_path / "predict.yaml").write_text("model: m\ntexts: [a film, 7]\n")
    (tmp_path / "task.yaml").write_text("what: Is it good?\nlabels: [good, bad]\n")
    monkeypatch.chdir(tmp_path)
    assert main(["label", "--config", "label.yaml"]) == 2
    assert "No such file: nothing.csv" in error_of(capsys)
    assert main(["label", "other.csv", "--config", "label.yaml"]) == 2
    assert "No such file: other.csv" in error_of(capsys)
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr("maskfork.cli.predict.model_folder", lambda model: tmp_path)
    monkeypatch.setattr("maskfork.cli.predict._labels", lambda model, texts, *_: asked.append(texts) or ([], list))
    monkeypatch.setattr("maskfork.learn.tasks.task_in", lambda folder: None)
    assert main(["predict", "--config", "predict.yaml"]) == 0
    assert asked == [("a film", "7")]


def test_the_command_line_wins(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(CONFIGS["c.toml"])
    assert main(["probe", "y.csv", "--seeds", "1", "--encoder", "z", "--config", str(file)]) == 0
    assert (SEEN["data"], SEEN["seeds"], SEEN["encoder"]) == (Path("y.csv"), 1, ["z"])
    assert SEEN["budgets"] == "0,8,all"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("c.toml", 'data = "x"\nsedes = 3\n', "did you mean 'seeds'?"),
        ("c.toml", 'data = "x"\nqqqqqq = 3\n', "maskfork probe --help"),
        ("c.toml", 'data = "x"\nseeds = "many"\n', "many"),
        ("c.toml", "data = \n", "cannot be read"),
        ("c.json", "[1]", "must be a table"),
        ("c.json", "{", "cannot be read"),
        ("c.yaml", "a: [", "cannot be read"),
        ("c.yaml", "", "must be a table"),
        ("c.ini", "x = 1", "must end in"),
        (None, "", "does not exist"),
    ],
)
def test_a_wrong_file_is_one_sentence(
    name: str | None, text: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / (name or "missing.toml")
    if name:
        file.write_text(text)
    assert main(["probe", "--config", str(file)]) == 2
    assert said in error_of(capsys)


def test_a_file_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(b"\xff\x00\xfe")
    assert main(["probe", "--config", str(file)]) == 2
    assert "cannot be read" in error_of(capsys)


def test_json_from_the_file_shapes_errors_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "c.toml"
    file.write_text('data = "bad"\njson = true\n')
    assert main(["probe", "--config", str(file)]) == 2
    assert json.loads(capsys.readouterr().out)["kind"] == "DataError"


# --- processes ---


@pytest.mark.parametrize(
    ("run", "code_for_it"),
    [("lambda *_: output.emit('x' * 10**5)", 141), ("lambda *_: output.emit(Text('x' * 10**5))", 1)],  # 1 is rich's own
    ids=["text", "rich"],
)
def test_a_reader_that_has_left_gets_no_traceback(run: str, code_for_it: int) -> None:
    code = "import sys; from rich.text import Text; from maskfork.cli import app, output; "
    code += f"app._run = {run}; sys.exit(app.main([]))"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert done.stderr == b""
    assert done.returncode == code_for_it


def test_ctrl_c_is_one_line() -> None:
    code = (
        "import sys, time; from maskfork.cli import app\n"
        "def run(tokens, config):\n    print('ready', flush=True)\n    time.sleep(60)\n"
        "app._run = run; sys.exit(app.main([]))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        time.sleep(0.05)
        os.kill(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=30)
    assert running.returncode == 130
    assert err.decode().count("\n") == 1


# --- output ---


def test_json_takes_arrays_paths_and_not_a_number(capsys: pytest.CaptureFixture[str]) -> None:
    emit_json({"a": np.arange(3), "b": np.float32(0.5), "p": Path("x"), "n": float("nan"), "t": "é ✓"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"a": [0, 1, 2], "b": 0.5, "p": "x", "n": None, "t": "é ✓"}
    assert "é ✓" in out


def test_progress_keeps_stdout_clean(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("rows", total=3) as step:
        step()
        step(2, "more rows")
    assert capsys.readouterr().out == ""
