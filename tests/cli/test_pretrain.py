"""The command: killed at any moment it goes on to the last bit; what it costs is said before; errors are one sentence."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from maskfork.cli import main
from tests.learn.pretrain.ground import ground

STEPS = 40


def command(folder: Path, out: str, *more: str) -> list[str]:
    return [
        "pretrain", "--family", "bert", "--objective", "mlm", "--tokenizer", str(folder / "tok"), "--data",
        str(folder / "text.txt"), "-o", str(folder / out), "--steps", str(STEPS), "--rows", "4", "--length", "24", "--log-every",
        "1", "--save-every", "7", "--evaluate-every", "20", "--average", "0.9", "--optimiser", "muon", "--accumulate", "2", *more,
    ]  # fmt: skip


def started(words: list[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    code = "import sys; from maskfork.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    found = []
    for line in (folder / "metrics.jsonl").read_text().splitlines():
        values = json.loads(line)
        values.pop("tokens_per_second", None)
        found.append(values)
    return found


def steps_in(file: Path) -> int:
    return file.read_text().count('"norm"') if file.is_file() else 0


def killed_at(words: list[str], file: Path, step: int) -> int:
    """Run until so many steps are in the metrics, kill -9, return how many were; -1 where it had ended before."""
    process = started(words)
    while process.poll() is None and steps_in(file) < step:
        time.sleep(0.001)
    if process.poll() is not None:
        return -1
    process.send_signal(signal.SIGKILL)
    process.wait()
    return steps_in(file)


def killed_and_resumed(folder: Path, moments: list[int]) -> None:
    """Killed at each of these steps in turn, each time resumed: the outcome is that of the run nobody touched.

    What is killed is a process of its own; what runs to its end is this one.
    """
    ground(folder)
    assert main(command(folder, "whole")) == 0
    file = folder / "cut" / "metrics.jsonl"
    words = command(folder, "cut")
    for moment in moments:
        assert killed_at(words, file, moment) >= 0
        words = ["pretrain", "-o", str(folder / "cut"), "--resume"]
    assert main(words) == 0
    assert lines(folder / "cut") == lines(folder / "whole")
    assert len([line for line in lines(folder / "cut") if "norm" in line]) == STEPS
    for name in ("model.safetensors", f"checkpoints/step-{STEPS:08d}/tensors.safetensors"):
        assert (folder / "cut" / name).read_bytes() == (folder / "whole" / name).read_bytes()


def test_killed_twice(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, sorted(np.random.default_rng().integers(2, STEPS - 2, 2).tolist()))


@pytest.mark.slow
def test_killed_ten_times(tmp_path: Path) -> None:
    killed_and_resumed(tmp_path, sorted(np.random.default_rng().integers(1, STEPS - 2, 10).tolist()))


def test_a_dry_run_says_what_it_costs_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground(tmp_path)
    assert main(command(tmp_path, "out", "--dry-run", "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert not (tmp_path / "out").exists()
    blocks = 2 * (4 * 128 * 128 + 2 * 4 * 128 * 128 + 9 * 128 + 2 * 2 * 128)
    tokens = STEPS * 2 * 4 * 24
    assert found["in_blocks"] == blocks
    assert found["tokens"] == tokens
    head = 128 * 128 + 192 * 128
    wanted = 6 * blocks + 6 * head * found["targets_share"] + 12 * 2 * 128 * 24
    assert found["flops"] == pytest.approx(wanted * tokens, rel=1e-6)
    assert found["memory"]["weights"] == 4 * found["parameters"]
    assert found["memory"]["in_all"] == sum(v for k, v in found["memory"].items() if k != "in_all")
    assert found["seconds"] == pytest.approx(tokens / found["tokens_per_second"])
    assert main(command(tmp_path, "out", "--dry-run")) == 0
    assert "Chowdhery" in capsys.readouterr().out


def test_the_settings_that_it_wrote_repeat_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ground(tmp_path)
    short = [w if w != str(STEPS) else "6" for w in command(tmp_path, "out")]
    assert main([*short, "--json"]) == 0
    first = json.loads(capsys.readouterr().out)
    assert main(["pretrain", "--config", str(tmp_path / "out" / "pretrain.yaml"), "-o", str(tmp_path / "again"), "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert first["loss"] == again["loss"]
    assert lines(tmp_path / "out") == lines(tmp_path / "again")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--family", "bert"], "there is no text to train on"),
        (["--family", "bert", "--data", "x"], "needs a tokenizer"),
        (["--family", "bert", "--data", "nowhere.txt", "--tokenizer", "tok", "--steps", "3", "-o", "o"], "nowhere.txt"),
        (["--resume", "-o", "nothing"], "nothing was started there"),
        (["--resume"], "name the folder to write with -o"),
    ],
)
def test_errors_are_one_sentence(
    words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ground(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert main(["pretrain", *words]) == 2
    assert sentence in capsys.readouterr().err
